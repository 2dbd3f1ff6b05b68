"""WWW-Authenticate for 401 and 403 (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1, MCP authorization "Scope Selection")."""

from __future__ import annotations

from app.protocol.errors import InsufficientScope, NoToken, OAuthError
from app.protocol.metadata import SIGNING_ALGORITHMS

DPOP = b"dpop "  # as a request begins its Authorization header, in lower case


def challenge(
    refusal: OAuthError,
    resource_metadata: str | None = None,
    scope: str | None = None,
    credentials: bytes = b"",
) -> str:
    """The challenge: every value quoted, no `error` when no token came (RFC 6750 §3.1).

    It is for Bearer, unless `credentials`, the Authorization header, were for DPoP: clients of the one are confused by
    the other.
    """
    by_dpop = credentials[: len(DPOP)].lower() == DPOP
    fields = {"resource_metadata": resource_metadata, "scope": scope}
    if not isinstance(refusal, NoToken):
        fields = {"error": refusal.error, "error_description": refusal.description, **fields}
    if by_dpop:
        fields["algs"] = " ".join(SIGNING_ALGORITHMS)
    given = ", ".join(f'{name}="{value}"' for name, value in fields.items() if value is not None)
    return f"{'DPoP' if by_dpop else 'Bearer'} {given}".strip()


def needed_scope(refusal: OAuthError, held: frozenset[str], default: tuple[str, ...]) -> str:
    """What to ask for next: held and missing together, since half of the clients do not unite them themselves."""
    if isinstance(refusal, InsufficientScope):
        return " ".join(sorted(held | refusal.needed))
    return " ".join(default)

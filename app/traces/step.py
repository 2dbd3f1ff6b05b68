"""One step of a connection as it is kept for a few days: who asked what, and what the answer was; never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

# What an address is to a client that connects. Of other addresses only refusals are kept, as `other`.
WHAT: dict[str, str] = {
    "/mcp": "mcp",
    "/mcp/": "mcp",
    "/register": "registration",
    "/par": "pushed",
    "/authorize": "authorize",
    "/authorize/continue": "authorize",
    "/login": "sign-in",
    "/login/second": "sign-in",
    "/login/passkey": "sign-in",
    "/login/provider": "sign-in",
    "/login/link/open": "sign-in",
    "/password": "sign-in",
    "/sign-up/verify": "sign-in",
    "/consent": "consent",
    "/token": "token",
    "/auth/token": "token",
    "/revoke": "revoke",
    "/device_authorization": "device",
    "/device": "device page",
    "/device/decision": "device decision",
    "/userinfo": "userinfo",
}
MANAGED = "/register/"  # and the client's id: what a client does with its own registration
CALLBACK = "/callback/"  # and the service that somebody comes back from
WELL_KNOWN = "/.well-known/"
KEYS = "/.well-known/jwks.json"  # polled by other servers, no part of connecting
BROWSER = frozenset({"authorize", "sign-in", "consent", "device page", "device decision"})
NOT_YET = frozenset({"authorization_pending", "slow_down"})  # of a device's polls (RFC 8628 §3.5)


def what_is(path: str) -> str | None:
    """The word for this address, or None where only refusals are worth keeping."""
    known = WHAT.get(path)
    if known is None and path.startswith(WELL_KNOWN) and path != KEYS:
        return "discovery"
    if known is None and path.startswith(CALLBACK):
        return "sign-in"
    return "management" if known is None and path.startswith(MANAGED) else known


@dataclass(frozen=True, slots=True)
class Step:
    """`links` are keyed hashes of the PKCE challenge and of the code, or of a device's codes: the same in every step of one
    authorization.

    `facts` holds words, numbers and lists of words: scope, resource, grant type, redirect, protocol version.
    """

    at: datetime
    request_id: str
    what: str
    method: str
    path: str
    status: int
    error: str | None = None
    description: str | None = None
    client_id: str | None = None
    client_name: str | None = None
    address: str = ""
    user_agent: str = ""
    user_id: str | None = None
    connection_id: str | None = None
    links: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    id: int = 0

    @property
    def well(self) -> bool:
        """Neither refused nor sent back to the client with an error."""
        return self.status < 400 and self.error is None

    @property
    def not_yet(self) -> bool:
        """A device asked whether its user had decided, and nobody had: no refusal, for all its status."""
        return self.error in NOT_YET

    @property
    def issued(self) -> bool:
        """Tokens were given out."""
        return self.well and self.what.startswith("token")

    @property
    def tokenless(self) -> bool:
        """The first contact of every client: /mcp asked without a token (MCP authorization, "Protected Resource Metadata")."""
        return self.what == "mcp" and self.status == 401 and self.error == "unauthorized"

    @property
    def refused_key(self) -> bool:
        """An API key that is not one of ours: whose it was meant to be nobody knows."""
        return not self.well and self.client_id is None and "API key" in (self.description or "")

    def fact(self, name: str) -> str:
        """The fact as words; empty when there is none."""
        value = self.facts.get(name)
        return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)

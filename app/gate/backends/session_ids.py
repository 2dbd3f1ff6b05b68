"""Session ids of backends, sealed for whom they were made: useless to anybody else, and any process can open them
(MCP 2025-11-25 "Session Management", security best practices "Session Hijacking")."""

from __future__ import annotations

from app.gate.backends.faults import UnknownSession
from app.protocol.types import Principal
from app.tokens.secrets import Purpose, Unsealable, b64, unb64


class SessionIds:
    """Of one resource."""

    def __init__(self, purpose: Purpose, audience: str) -> None:
        self._purpose = purpose
        self._audience = audience

    def sealed(self, session: bytes, principal: Principal) -> bytes:
        """For the caller: visible ASCII, as the specification demands."""
        return b64(self._purpose.seal(session, self._whose(principal))).encode()

    def opened(self, presented: bytes, principal: Principal) -> bytes:
        """For the backend. Raises UnknownSession for one that is another's, another resource's, or none."""
        try:
            return self._purpose.open(unb64(presented.decode("ascii")), self._whose(principal))
        except (ValueError, Unsealable):
            raise UnknownSession("not sealed for this caller") from None

    def _whose(self, principal: Principal) -> bytes:
        return "\0".join((principal.subject, principal.client_id, self._audience)).encode()

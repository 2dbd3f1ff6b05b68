"""Session ids of backends, sealed for whom they were made: useless to anybody else, and any process can open them
(MCP 2025-11-25 "Session Management", security best practices "Session Hijacking")."""

from __future__ import annotations

from typing import NamedTuple

from app.gate.backends.faults import UnknownSession
from app.protocol.types import Principal
from app.tokens.secrets import Purpose, Unsealable, b64, unb64

# No id has this sign (it is visible ASCII): what comes after it is ours, about the client.
MARK, OPENS = b"\0", b"u"


class Session(NamedTuple):
    """`id` is the backend's, empty where it has not begun one; `opens`: its client can open addresses for its user."""

    id: bytes
    opens: bool = False


class SessionIds:
    """Of one resource."""

    def __init__(self, purpose: Purpose, audience: str) -> None:
        self._purpose = purpose
        self._audience = audience

    def sealed(self, session: Session, principal: Principal) -> bytes:
        """For the caller: visible ASCII, as the specification demands."""
        packed = session.id + (MARK + OPENS if session.opens else b"")
        return b64(self._purpose.seal(packed, self._whose(principal))).encode()

    def opened(self, presented: bytes, principal: Principal) -> Session:
        """For the backend. Raises UnknownSession for one that is another's, another resource's, or none."""
        try:
            packed = self._purpose.open(unb64(presented.decode("ascii")), self._whose(principal))
            identifier, _, marks = packed.partition(MARK)
            return Session(identifier, marks == OPENS)
        except (ValueError, Unsealable):
            raise UnknownSession("not sealed for this caller") from None

    def _whose(self, principal: Principal) -> bytes:
        return "\0".join((principal.subject, principal.client_id, self._audience)).encode()

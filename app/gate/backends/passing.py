"""Which headers go through to a backend, and which come back: lists of what may, so that nothing slips through
(RFC 9110 §7.6.1, MCP security best practices "Token Passthrough")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from app.gate.backends.faults import Header, UnknownSession
from app.gate.backends.pool import Place

# A caller's Authorization, cookies, X-Forwarded-For, X-User and the like are nowhere here.
TO = frozenset({b"accept", b"accept-language", b"content-type", b"user-agent", b"traceparent", b"tracestate"})
FROM = frozenset({b"retry-after", b"allow"})
OURS = b"mcp-"  # MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Param-…, and those to come
SESSION, LAST_EVENT = b"mcp-session-id", b"last-event-id"
LONGEST_SECONDS = 7  # digits
BOTH_TYPES = b"accept: application/json, text/event-stream\r\n"


class Requests:
    """Written for one backend."""

    def __init__(self, place: Place) -> None:
        target = place.target.encode()
        fixed = b" HTTP/1.1\r\nhost: %s\r\naccept-encoding: identity\r\n" % place.authority.encode()
        self._begun = {method: b"%s %s%s" % (method.encode(), target, fixed) for method in ("GET", "POST", "DELETE")}

    def written(
        self, method: str, headers: Iterable[Header], body: bytes, session: bytes | None, request_id: str, sent: bytes
    ) -> bytes:
        """The whole request. `session` is the backend's own id, `sent` the header that identifies us or the caller."""
        parts = [self._begun[method], sent, b"x-request-id: %s\r\n" % request_id.encode()]
        accepts = False
        for name, value in headers:
            if name in TO or (name.startswith(OURS) and name != SESSION):
                accepts = accepts or name == b"accept"
                parts.append(b"%s: %s\r\n" % (name, value))
            elif name == LAST_EVENT and session is not None:
                # Without a session nobody but this process could say whose events they are, and it does not know.
                parts.append(b"%s: %s\r\n" % (name, value))
        if not accepts:
            parts.append(BOTH_TYPES)
        if session is not None:
            parts.append(b"%s: %s\r\n" % (SESSION, session))
        if method == "POST":
            parts.append(b"content-length: %d\r\n" % len(body))
        parts += (b"\r\n", body)
        return b"".join(parts)


def session_of(headers: Iterable[Header]) -> bytes | None:
    """What the caller presents. Raises UnknownSession for two."""
    found = [value for name, value in headers if name == SESSION]
    if len(found) > 1:
        raise UnknownSession("two session ids")
    return found[0] if found else None


class Answered(NamedTuple):
    """The headers of an answer. `passed` has no cookies, no challenge, no CORS, nothing of the connection; the session id is
    sealed elsewhere."""

    passed: list[Header]
    session: bytes | None
    media_type: bytes  # in lower case, without parameters
    length: int | None
    retry_after: int | None
    is_coded: bool


def answered(headers: Iterable[Header]) -> Answered:
    """From one walk over them; of several with one name the last counts."""
    passed: list[Header] = []
    session = length = retry_after = None
    media_type, is_coded = b"", False
    for header in headers:
        name, value = header
        if name == b"content-type":
            media_type = value.split(b";")[0].strip().lower()
        elif name == b"content-length":
            length = int(value) if value.isdigit() else None  # the parser has refused what is no number
        elif name == SESSION:
            session = value
        elif name == b"content-encoding":
            is_coded = value.lower() != b"identity"
        elif name in FROM or name.startswith(OURS):
            passed.append(header)
            if name == b"retry-after" and value.isdigit() and len(value) < LONGEST_SECONDS:
                retry_after = int(value)
    return Answered(passed, session, media_type, length, retry_after, is_coded)

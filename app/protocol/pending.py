"""An authorization request on its way through the browser (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2, OIDC Core §3.1.2.1)."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

LIFETIME = timedelta(minutes=30)  # long enough for a forgotten password, short enough to be gone tomorrow
PUSHED_LIFETIME = timedelta(seconds=90)  # RFC 9126 §2.2: from the push to the browser
REQUEST_URI = "urn:ietf:params:oauth:request_uri:"


@dataclass(frozen=True, slots=True)
class Pending:
    """A checked request. It travels sealed in the URL from step to step, so that GET stores nothing (design §5).

    `approved_by` is the session in which the user pressed Allow for exactly this request.
    `started_at` is in seconds since 1970. `pushed_id` names a pushed request, of which one code comes (RFC 9126 §4),
    `dpop_jkt` the key that must redeem the code (RFC 9449 §10).
    """

    client_id: str
    redirect_uri: str
    scope: tuple[str, ...]
    resource: str
    code_challenge: str
    state: str | None
    prompt: tuple[str, ...]
    login_hint: str | None
    max_age: int | None
    started_at: float
    approved_by: str | None = None
    nonce: str | None = None
    pushed_id: str | None = None
    dpop_jkt: str | None = None
    ui_locales: str | None = None

    def approved(self, session_id: str) -> Pending:
        return replace(self, approved_by=session_id)

    def expired(self, now: datetime, lifetime: timedelta = LIFETIME) -> bool:
        return now - datetime.fromtimestamp(self.started_at, UTC) > lifetime

    def packed(self) -> bytes:
        return zlib.compress(json.dumps(asdict(self), separators=(",", ":")).encode())


def unpacked(packed: bytes) -> Pending:
    """The inverse of `Pending.packed`; the bytes are ours, since they were opened with our key."""
    fields = json.loads(zlib.decompress(packed))
    return Pending(**{**fields, "scope": tuple(fields["scope"]), "prompt": tuple(fields["prompt"])})

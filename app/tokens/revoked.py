"""What has been revoked, in memory, so that the guard can refuse without I/O (RFC 7009 §2.1)."""

from __future__ import annotations

from datetime import datetime

from app.protocol.types import Principal


class Revocations:
    """Handle → the moment until which its tokens are void. `as_of` is when the database was last heard, in seconds since 1970."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, float]] = {}
        self.as_of = 0.0

    def __len__(self) -> int:
        return len(self._until)

    def add(self, handle: str, revoked_at: datetime, expires_at: datetime) -> bool:
        """True when it is news."""
        entry = (revoked_at.timestamp(), expires_at.timestamp())
        is_news = self._until.get(handle) != entry
        self._until[handle] = entry
        return is_news

    def clear(self, principal: Principal, moment: float, staleness: float) -> bool:
        """True when its token has not expired, and word is fresh that none of its handles was revoked. `moment` in seconds since 1970."""
        if principal.expires_at <= moment or moment - self.as_of > staleness:
            return False
        return not (self._until and self.covers(principal))

    def covers(self, principal: Principal) -> bool:
        """True when one of the principal's handles was revoked after its token, or the one it was exchanged for, was issued."""
        if not self._until:
            return False
        since = principal.revocable_since
        for handle in principal.handles:
            entry = self._until.get(handle)
            if entry is not None and since <= entry[0]:
                return True
        return False

    def forget_expired(self, now: datetime) -> None:
        """Drops what no unexpired token can meet any more."""
        moment = now.timestamp()
        self._until = {handle: entry for handle, entry in self._until.items() if entry[1] > moment}

    def is_stale(self, moment: float, seconds: float) -> bool:
        """True when the database has been silent for longer than `seconds`: then nobody can say what is revoked."""
        return moment - self.as_of > seconds

"""What could not be fetched just now: whoever has a copy does not wait for the same failure again (RFC 5861 §4, stale-if-error)."""

from __future__ import annotations

from datetime import datetime, timedelta

AGAIN = timedelta(seconds=60)
REMEMBERED = 1000


class Faults:
    """One per process. Nothing is kept from those who have no copy: they always ask anew."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[datetime, str]] = {}

    def saw(self, url: str, why: str, now: datetime) -> None:
        self._seen.pop(url, None)
        if len(self._seen) >= REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[url] = (now, why)

    def lately(self, url: str, now: datetime) -> str | None:
        """Why it could not be fetched within the last minute; None when it may be tried."""
        at, why = self._seen.get(url, (None, ""))
        return why if at is not None and abs(now - at) < AGAIN else None

"""What could not be fetched just now: whoever has a copy does not wait for the same failure again (RFC 5861 §4, stale-if-error)."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.protocol.words import Worded

AGAIN = timedelta(seconds=60)
REMEMBERED = 1000


class Faults:
    """One per process. `private` as in the fetch: what strangers have us fail at must not keep us from what the operator named."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bool], tuple[datetime, Worded]] = {}

    def saw(self, url: str, fault: Worded, now: datetime, *, private: bool = False) -> None:
        self._seen.pop((url, private), None)
        if len(self._seen) >= REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[url, private] = now, _anew(fault)

    def lately(self, url: str, now: datetime, *, private: bool = False) -> Worded | None:
        """Why it could not be fetched within the last minute; None when it may be tried."""
        at, fault = self._seen.get((url, private), (None, None))
        return _anew(fault) if fault is not None and at is not None and abs(now - at) < AGAIN else None


def _anew(fault: Worded) -> Worded:
    """The same, without the frames that it went through."""
    return type(fault)(fault.template, **fault.values)

"""What time it is: the database's, by which every replica counts; so no code outlives, and no revocation misses, a wrong clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

HEARD = timedelta(milliseconds=500)  # nearer than this is as good as equal, and time does not tremble
WORTH_SAYING = timedelta(seconds=5)

log = structlog.get_logger("gatehouse.clock")


class Clock:
    """Called, it says what time it is. `own` is what this computer thinks."""

    def __init__(self, own: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._own = own
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        return self._own() - self._ahead

    def hear(self, database: datetime, asked_at: datetime, heard_at: datetime) -> timedelta:
        """What the database's clock said between these two moments of ours. By how much ours went forward for it."""
        if asked_at - HEARD <= database <= heard_at + HEARD:
            return timedelta(0)
        forward = database - (asked_at + (heard_at - asked_at) / 2)
        self._ahead -= forward
        if abs(forward) > WORTH_SAYING:
            log.warning(
                "the clock of this computer is wrong; the database's counts", seconds=self._ahead.total_seconds()
            )
        return forward

"""What is remembered and written a little later, together: how much at a time, how often, and again if the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.db.engine import is_unavailable

SOON_SECONDS, MOST_SECONDS = 2.0, 60.0
ROWS_PER_SECOND = 250  # that a process writes in the long run: with many callers it comes by less often
BATCH = 1000  # rows a statement, which has seconds and no more

log = structlog.get_logger("gatehouse.later")


async def keep_flushing(flush: Callable[[], Awaitable[int]], what: str) -> None:
    """`flush` says how many rows it wrote, and forgets nothing that it could not write. Runs until cancelled."""
    written = 0
    while True:
        await asyncio.sleep(pause(written))
        try:
            written = await flush()
        except Exception as fault:
            if is_unavailable(fault):
                log.warning("not written yet", what=what, error=type(fault).__name__)
            else:
                log.error("not written yet", what=what, exc_info=fault)


def pause(written: int) -> float:
    """Seconds until the next flush, after one of so many rows."""
    return min(max(SOON_SECONDS, written / ROWS_PER_SECOND), MOST_SECONDS)

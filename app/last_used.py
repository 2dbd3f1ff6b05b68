"""When clients, connections and API keys were last used, written in batches off the request path (the seed's `last_used_at`)."""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from app.db.engine import HotPool, is_unavailable

FLUSH_SECONDS, MOST_SECONDS = 2.0, 60.0
ROWS_PER_SECOND = 250  # that this process writes in the long run: with many callers it comes by less often
BATCH = 1000  # rows a statement, which has seconds and no more
STATEMENTS = {
    "api_keys": "UPDATE api_keys t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.at)",
    # To the minute: whoever remembers a client reads it anew when its row has changed, in every process (app/remembered.py).
    "clients": "UPDATE clients t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.client_id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.at - interval '1 minute')",
    "connections": "UPDATE connections t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.id = u.id AND t.last_used_at < u.at",
}

log = structlog.get_logger("gatehouse.last_used")


class LastUsed:
    """Remembers the newest use of each id until the next flush; a crash loses at most MOST_SECONDS of it."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._seen: dict[str, dict[str, datetime]] = {table: {} for table in STATEMENTS}

    def saw(self, table: str, identifier: str, now: datetime) -> None:
        self._seen[table][identifier] = now

    async def flush(self) -> int:
        """Writes what was seen, and says how many rows it was. Raises the database's errors, having forgotten nothing that it
        has not written."""
        written = 0
        for table, seen in self._seen.items():
            waiting = sorted(seen.items())  # one order everywhere, so that two replicas cannot deadlock
            for first in range(0, len(waiting), BATCH):
                batch = waiting[first : first + BATCH]
                await self._pool.execute(STATEMENTS[table], [key for key, _ in batch], [at for _, at in batch])
                for key, at in batch:
                    if seen.get(key) == at:
                        del seen[key]
            written += len(waiting)
        return written

    async def keep_flushing(self) -> None:
        """Runs until cancelled."""
        written = 0
        while True:
            await asyncio.sleep(pause(written))
            try:
                written = await self.flush()
            except Exception as fault:
                if is_unavailable(fault):
                    log.warning("last use not written yet", error=type(fault).__name__)
                else:
                    log.error("last use not written yet", exc_info=fault)


def pause(written: int) -> float:
    """Seconds until the next flush, after one of so many rows."""
    return min(max(FLUSH_SECONDS, written / ROWS_PER_SECOND), MOST_SECONDS)

"""When clients, connections and API keys were last used, written in batches off the request path (the seed's `last_used_at`)."""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from app.db.engine import HotPool, is_unavailable

FLUSH_SECONDS = 2.0
STATEMENTS = {
    "api_keys": "UPDATE api_keys t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.at)",
    "clients": "UPDATE clients t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.client_id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.at)",
    "connections": "UPDATE connections t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.id = u.id AND t.last_used_at < u.at",
}

log = structlog.get_logger("gatehouse.last_used")


class LastUsed:
    """Remembers the newest use of each id until the next flush; a crash loses at most FLUSH_SECONDS of it."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._seen: dict[str, dict[str, datetime]] = {table: {} for table in STATEMENTS}

    def saw(self, table: str, identifier: str, now: datetime) -> None:
        self._seen[table][identifier] = now

    async def flush(self) -> None:
        """Writes what was seen, a statement a table. Raises the database's errors, having forgotten nothing."""
        for table, seen in self._seen.items():
            if seen:
                batch = sorted(seen.items())  # one order everywhere, so that two replicas cannot deadlock
                await self._pool.execute(STATEMENTS[table], [key for key, _ in batch], [at for _, at in batch])
                for key, at in batch:
                    if seen.get(key) == at:
                        del seen[key]

    async def keep_flushing(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except Exception as fault:
                if is_unavailable(fault):
                    log.warning("last use not written yet", error=type(fault).__name__)
                else:
                    log.error("last use not written yet", exc_info=fault)

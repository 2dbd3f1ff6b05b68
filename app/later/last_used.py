"""When clients, connections and API keys were last used, written in batches off the request path (the seed's `last_used_at`)."""

from __future__ import annotations

from datetime import datetime

from app.db.engine import HotPool
from app.later.writing import BATCH

STATEMENTS = {
    "api_keys": "UPDATE api_keys t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.at)",
    # To the minute: whoever remembers a client reads it anew when its row has changed, in every process (app/remembered.py).
    "clients": "UPDATE clients t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.client_id = u.id AND (t.last_used_at IS NULL OR t.last_used_at < u.at - interval '1 minute')",
    "connections": "UPDATE connections t SET last_used_at = u.at FROM unnest($1::text[], $2::timestamptz[]) u(id, at) "
    "WHERE t.id = u.id AND t.last_used_at < u.at",
}


class LastUsed:
    """Remembers the newest use of each id until the next flush; a crash loses at most a minute of it."""

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

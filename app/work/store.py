"""SQL of the rates at which challenges are given out: counters of a minute each, that all replicas share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.db.engine import HotPool

MINUTE = timedelta(minutes=1)
# $1 keys, $2 counts, $3 and $4 the names of this minute and of the one before, $5 when this one's counter may go. What was
# counted in the minute before counts for less the older it is ($6: how much of it is left).
SHARED = """
WITH added AS (
INSERT INTO rate_counters AS c (key, hits, resets_at)
SELECT $3 || key, hits, $5 FROM unnest($1::text[], $2::int[]) AS a(key, hits) ORDER BY key
ON CONFLICT (key) DO UPDATE SET hits = c.hits + excluded.hits
RETURNING key, hits
)
SELECT a.key, added.hits + coalesce(before.hits, 0) * $6::float AS rate
FROM unnest($1::text[]) AS a(key) JOIN added ON added.key = $3 || a.key
LEFT JOIN rate_counters before ON before.key = $4 || a.key
"""


async def shared(pool: HotPool, counts: Mapping[str, int], now: datetime) -> dict[str, float]:
    """Adds these, and says for each key how many there were in the last minute, in all processes."""
    this = now.replace(second=0, microsecond=0)
    names = [f"work {moment.timestamp():.0f} " for moment in (this, this - MINUTE)]
    left = 1 - (now - this) / MINUTE
    rows = await pool.fetch(SHARED, list(counts), list(counts.values()), *names, this + 3 * MINUTE, left)
    return {row["key"]: row["rate"] for row in rows}

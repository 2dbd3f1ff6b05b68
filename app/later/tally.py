"""How often tools were called and charges denied, counted in memory and added to the tables in batches off the request path."""

from __future__ import annotations

import asyncio
from datetime import date, datetime

from app.db.engine import HotPool
from app.later.writing import BATCH

# Whoever is not, or no longer, a user is left out; the lock lets nobody be deleted between the look and the insert. One
# order everywhere, so that two replicas cannot deadlock.
ADD = """
WITH people AS (SELECT id FROM users WHERE id = ANY($2::text[]) ORDER BY id FOR KEY SHARE)
INSERT INTO tool_calls AS t (user_id, day, client_id, tool, calls)
SELECT n.user_id, n.day, n.client_id, n.tool, n.calls
FROM unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::bigint[]) n(day, user_id, client_id, tool, calls)
JOIN people p ON p.id = n.user_id
ORDER BY n.user_id, n.day, n.client_id, n.tool
ON CONFLICT (user_id, day, client_id, tool) DO UPDATE SET calls = t.calls + excluded.calls
"""
DENIED = """
INSERT INTO charge_denials AS t (day, budget_id, tool, reason, calls)
SELECT n.day, n.budget_id, n.tool, n.reason, n.calls
FROM unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::bigint[]) n(day, budget_id, tool, reason, calls)
WHERE EXISTS (SELECT FROM budgets b WHERE b.id = n.budget_id)
ORDER BY n.budget_id, n.day, n.tool, n.reason
ON CONFLICT (budget_id, day, tool, reason) DO UPDATE SET calls = t.calls + excluded.calls
"""
Key = tuple[date, str, str, str]  # the day, in UTC; user, client or API key, tool; or budget, tool, reason
MOST = 50_000  # told apart between two flushes; of more, callers choose the tools' names, the tool is left out
LONGEST_NAME = 200  # characters


class Tally:
    """Counts until the next flush; a crash loses at most a minute of it."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._counts: dict[Key, int] = {}
        self._denials: dict[Key, int] = {}
        self._writing = asyncio.Lock()  # two at once would write the same counts twice

    def count(self, user_id: str, client_id: str, tool: str, now: datetime) -> None:
        """One call that was answered."""
        key = (now.date(), user_id, client_id, tool)
        if key not in self._counts:
            key = (*key[:3], _kept(self._counts, tool))
        self._counts[key] = self._counts.get(key, 0) + 1

    def deny(self, budget_id: str, tool: str | None, reason: str, now: datetime) -> None:
        """One charge that was denied."""
        key = (now.date(), budget_id, _kept(self._denials, tool or ""), reason)
        self._denials[key] = self._denials.get(key, 0) + 1

    async def flush(self) -> int:
        """Adds what was counted, and says how many rows it was. Raises the database's errors, having forgotten nothing that it
        has not written."""
        async with self._writing:
            return await self._add(self._counts, ADD) + await self._add(self._denials, DENIED)

    async def _add(self, counts: dict[Key, int], statement: str) -> int:
        waiting = sorted(counts.items())
        for first in range(0, len(waiting), BATCH):
            batch = waiting[first : first + BATCH]
            columns = [list(column) for column in zip(*(key for key, _ in batch), strict=True)]
            await self._pool.execute(statement, *columns, [calls for _, calls in batch])
            for key, calls in batch:
                left = counts[key] - calls  # what was counted meanwhile stays
                if left:
                    counts[key] = left
                else:
                    del counts[key]
        return len(waiting)


def _kept(counts: dict[Key, int], tool: str) -> str:
    """As it is kept: one that Postgres cannot store would hold up all the others for ever."""
    return tool[:LONGEST_NAME] if len(counts) < MOST and tool.isprintable() else ""

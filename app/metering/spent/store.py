"""SQL of the books: summed by day, by project and by tool; and the ledger of one person or one budget."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.metering.spent.model import NUMBERS, Entry, Line

# Everything in one shape. Charges are summed by budget first, so that whose they are is looked up once for each; a payment
# counts on the day that it was found paid, and so does the one call that it bought. A user's facts are those of their budgets.
FACTS = """
WITH mine AS (SELECT id FROM budgets WHERE user_id = CAST(:user_id AS text)),
spent AS (
SELECT (at AT TIME ZONE 'UTC')::date AS day, budget_id, coalesce(tool, '') AS tool,
  count(*) FILTER (WHERE state <> 'released') AS calls, sum(sats) AS sats, sum(returned_sats) AS returned,
  count(*) FILTER (WHERE returned_sats > 0) AS refunds
FROM charges WHERE at >= :since AND at < :until AND {whose}
GROUP BY 1, 2, 3
),
denied AS (
SELECT day, budget_id, tool, reason, calls FROM charge_denials
WHERE day >= (:since AT TIME ZONE 'UTC')::date AND day < (:until AT TIME ZONE 'UTC')::date
  AND {whose}
),
facts AS (
SELECT day, budget_id, NULL AS who, tool, 0 AS sats_in, calls, sats AS sats_spent, refunds, returned AS sats_refunded,
  0 AS denied_budget_exceeded, 0 AS denied_rate_limited, 0 AS denied_idempotency_mismatch, 0 AS denied_session_ended
FROM spent
UNION ALL
SELECT day, budget_id, NULL, tool, 0, 0, 0, 0, 0,
  CASE reason WHEN 'budget_exceeded' THEN calls ELSE 0 END, CASE reason WHEN 'rate_limited' THEN calls ELSE 0 END,
  CASE reason WHEN 'idempotency_mismatch' THEN calls ELSE 0 END, CASE reason WHEN 'session_ended' THEN calls ELSE 0 END
FROM denied
UNION ALL
SELECT (settled_at AT TIME ZONE 'UTC')::date, NULL, CASE purpose WHEN 'session' THEN subject ELSE purpose END,
  CASE purpose WHEN 'call' THEN split_part(subject, ' ', 2) ELSE '' END, sum(sats),
  count(*) FILTER (WHERE starts_with(claimed_by, 'call_')), 0, 0, 0, 0, 0, 0, 0
FROM payments WHERE settled_at >= :since AND settled_at < :until AND CAST(:user_id AS text) IS NULL
GROUP BY 1, 3, 4
UNION ALL
SELECT (settled_at AT TIME ZONE 'UTC')::date, NULL, CASE WHEN subject LIKE '% %' THEN 'call_coins' ELSE 'token_coins' END,
  split_part(subject, ' ', 2), coalesce(sum(sats), 0), count(*) FILTER (WHERE starts_with(claimed_by, 'call_')),
  0, 0, 0, 0, 0, 0, 0
FROM settlements WHERE settled_at >= :since AND settled_at < :until AND transaction IS NOT NULL
  AND CAST(:user_id AS text) IS NULL
GROUP BY 1, 3, 4
),
told AS (
SELECT f.*, coalesce(f.who, CAST(:by_budget AS text) || f.budget_id, s.project_id, b.kind, 'agent') AS project FROM facts f
LEFT JOIN agent_sessions s ON s.id = f.budget_id LEFT JOIN budgets b ON b.id = f.budget_id
)
"""
SUMS = ", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in NUMBERS)
NAMED = """
SELECT l.*, coalesce((SELECT name FROM agent_projects p WHERE p.id = l.project),
  (SELECT name FROM api_keys k WHERE k.id = l.project),
  (SELECT client_name FROM clients JOIN connections USING (client_id) WHERE connections.id = l.project)) AS name
"""
CUBE = f"{FACTS}, l AS (SELECT day, project, tool, {SUMS} FROM told GROUP BY day, project, tool) {NAMED} FROM l "
CUBE += "ORDER BY day, project, tool"
# For a page: the days, and of projects and tools those with most sats; `lines` counts what is left out.
BY_EACH = f"""{FACTS}, l AS (
SELECT day, project, tool, {SUMS} FROM told GROUP BY GROUPING SETS ((), (day), (project), (tool))
), l2 AS (
SELECT l.*, row_number() OVER (PARTITION BY day IS NULL, project IS NULL, tool IS NULL
  ORDER BY day DESC, sats_spent + sats_in DESC, calls DESC, project, tool) AS place FROM l
)
{NAMED} FROM l2 l WHERE place <= :most ORDER BY place
"""
# Of each budget its own few by its index, then the few of all.
LEDGER = """
SELECT c.id, c.at, c.budget_id, coalesce((SELECT name FROM api_keys k WHERE k.id = c.budget_id),
  (SELECT client_name FROM clients JOIN connections USING (client_id) WHERE connections.id = c.budget_id)) AS name,
  c.tool, c.state, c.sats, c.free_sats, c.returned_sats, c.remaining_sats
FROM unnest(CAST(:budgets AS text[])) AS of(budget_id) CROSS JOIN LATERAL
"""
NEWEST = """(SELECT * FROM charges WHERE charges.budget_id = of.budget_id
  AND (CAST(:charge AS bigint) IS NULL OR charges.id = :charge)
  AND (CAST(:before AS bigint) IS NULL OR charges.id < :before) ORDER BY charges.id DESC LIMIT :most) c
ORDER BY c.id DESC LIMIT :most"""
OLDEST = """(SELECT * FROM charges WHERE charges.budget_id = of.budget_id AND charges.id > :after
  ORDER BY charges.id LIMIT :most) c ORDER BY c.id LIMIT :most"""
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Window:
    """`until` is not in it any more. Of one user's API keys and connections, or of everybody and everything."""

    since: datetime
    until: datetime
    user_id: str | None = None

    @property
    def whose(self) -> str:
        """Said in a way that lets one person's few be found by the index."""
        return "true" if self.user_id is None else "budget_id IN (SELECT id FROM mine)"

    @property
    def values(self) -> dict[str, Any]:
        """A user's lines are by key and connection, everybody's by project."""
        by_budget = None if self.user_id is None else ""
        return {"since": self.since, "until": self.until, "user_id": self.user_id, "by_budget": by_budget}


def _line(row: Any) -> Line:
    return Line(**{name: getattr(row, name) for name in Line.__slots__})


async def by_each(db: AsyncConnection, window: Window, most: int) -> list[Line]:
    """The total, then lines by day alone, by project alone, by tool alone, `most` of each kind."""
    statement = BY_EACH.format(whose=window.whose)
    return [_line(row) for row in await db.execute(text(statement), {**window.values, "most": most})]


async def cube(db: AsyncConnection, window: Window) -> AsyncIterator[Line]:
    """A line for each day, project and tool, oldest first, a row at a time."""
    async for row in await db.stream(text(CUBE.format(whose=window.whose)), window.values):
        yield _line(row)


async def newest(
    db: AsyncConnection, budget_ids: list[str], most: int, *, before: int | None = None, charge: int | None = None
) -> list[Entry]:
    """Newest first, those before this one; or this one only."""
    values = {"budgets": budget_ids, "before": before, "charge": charge, "most": most}
    return [Entry(**row._mapping) for row in await db.execute(text(LEDGER + NEWEST), values)]


async def oldest(db: AsyncConnection, budget_ids: list[str], after: int) -> list[Entry]:
    """A batch of those after this one."""
    values = {"budgets": budget_ids, "after": after, "most": BATCH}
    return [Entry(**row._mapping) for row in await db.execute(text(LEDGER + OLDEST), values)]

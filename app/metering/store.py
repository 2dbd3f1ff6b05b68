"""SQL of budgets and charges: each change is one statement, whole by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.metering.model import Asked

# What the day still gives is taken first, then what was paid for. A replica whose clock is behind counts on in the window
# that another has begun. That a key is new is asked twice: here, and by the index, which throws the whole statement away
# when another transaction was quicker.
FREE_USED = "CASE WHEN b.day < t.day THEN 0 ELSE b.day_free_sats END"
FREE = f"least({{sats}}, greatest(0, b.allowance_sats - {FREE_USED}))"
WINDOWS = """SELECT ({now}::timestamptz AT TIME ZONE 'UTC')::date AS day, date_trunc('minute', {now}::timestamptz) AS minute"""
TAKEN = f"""UPDATE budgets b SET day = greatest(b.day, t.day), minute = greatest(b.minute, t.minute),
  day_free_sats = {FREE_USED} + {FREE},
  last_free_sats = {FREE},
  funded_sats = b.funded_sats - ({{sats}} - {FREE}),
  day_sats = CASE WHEN b.day < t.day THEN 0 ELSE b.day_sats END + {{sats}},
  day_calls = CASE WHEN b.day < t.day THEN 0 ELSE b.day_calls END + {{calls}},
  minute_calls = CASE WHEN b.minute < t.minute THEN 0 ELSE b.minute_calls END + {{calls}}
FROM t{{others}}
WHERE {{which}} AND b.ended_at IS NULL AND (b.expires_at IS NULL OR b.expires_at > {{now}})
  AND (b.max_calls_per_minute IS NULL
    OR CASE WHEN b.minute < t.minute THEN 0 ELSE b.minute_calls END + {{calls}} <= b.max_calls_per_minute)
  AND {{sats}} <= {FREE} + b.funded_sats"""
ENTRIES = """
INSERT INTO charges (budget_id, key, request_hash, sats, free_sats, state, tool, calls_used, sats_used, remaining_sats,
  at, reserved_until)
"""
TOLD = "RETURNING budget_id, key, sats, state, calls_used, sats_used, remaining_sats, at"

# $1 budget, $2 key, $3 sats, $4 request hash, $5 tool, $6 until when it is reserved, or null, $7 now.
ONE = {"sats": "$3::bigint", "calls": "1", "now": "$7", "others": "", "which": "b.id = $1"}
CHARGE = f"""
WITH t AS ({WINDOWS.format(now="$7")}),
taken AS (
{TAKEN.format(**ONE)}
  AND NOT EXISTS (SELECT FROM charges c WHERE c.budget_id = $1 AND c.key = $2 AND c.state <> 'released')
RETURNING b.*
)
{ENTRIES}
SELECT id, $2, $4, $3, last_free_sats, CASE WHEN $6::timestamptz IS NULL THEN 'charged' ELSE 'reserved' END, $5,
  day_calls, day_sats, greatest(0, allowance_sats - day_free_sats) + funded_sats, $7, $6
FROM taken
{TOLD}
"""

# The same in arrays, of charges whose (budget, key) differ, but one $7 for all. All charges of one budget are taken, or none.
# Rows are locked in the order of their ids, so that no two such statements wait for each other. Whether a key is new is a
# subquery, so that it is looked up in the index, whatever Postgres believes of the table.
MANY = {"sats": "g.sats", "calls": "g.calls", "now": "$7", "others": ", held JOIN g ON g.budget_id = held.id"}
CHARGES = f"""
WITH t AS ({WINDOWS.format(now="$7")}),
c AS MATERIALIZED (
SELECT *, (sum(sats) OVER before)::bigint AS upto, row_number() OVER before AS number
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::text[], $6::timestamptz[])
  WITH ORDINALITY AS c(budget_id, key, sats, request_hash, tool, reserved_until, place)
WINDOW before AS (PARTITION BY budget_id ORDER BY place)
),
g AS MATERIALIZED (SELECT budget_id, sum(sats)::bigint AS sats, count(*) AS calls FROM c GROUP BY budget_id),
used AS MATERIALIZED (
SELECT budget_id FROM c WHERE (
SELECT x.id FROM charges x WHERE x.budget_id = c.budget_id AND x.key = c.key AND x.state <> 'released') IS NOT NULL
),
held AS MATERIALIZED (
SELECT id FROM budgets WHERE id = ANY($1) AND id NOT IN (SELECT budget_id FROM used) ORDER BY id FOR UPDATE
),
taken AS (
{TAKEN.format(**MANY, which="b.id = held.id")}
RETURNING b.id, b.last_free_sats, b.day_calls - g.calls AS calls_before, b.day_sats - g.sats AS sats_before,
  greatest(0, b.allowance_sats - b.day_free_sats) + b.funded_sats + g.sats AS left_before
)
{ENTRIES}
SELECT id, key, request_hash, sats, least(last_free_sats, upto) - least(last_free_sats, upto - sats),
  CASE WHEN reserved_until IS NULL THEN 'charged' ELSE 'reserved' END, tool,
  calls_before + number, sats_before + upto, left_before - upto, $7, reserved_until
FROM taken JOIN c ON c.budget_id = taken.id
{TOLD}
"""

# $1 budget, $2 key, $3 what it really cost, $4 the new state, $5 the states it may have. The budget's row is locked before
# the entry's, as a charge does it. Of what is given back the funded part comes first, since somebody paid for it; the free
# part counts only on the day that it was taken.
GIVE_BACK = """
WITH held AS MATERIALIZED (SELECT id, day FROM budgets WHERE id = $1 FOR UPDATE),
before AS MATERIALIZED (
SELECT c.*, (c.at AT TIME ZONE 'UTC')::date >= held.day AS today FROM charges c JOIN held ON held.id = c.budget_id
WHERE c.key = $2 AND c.state = ANY($5::text[]) FOR UPDATE OF c
),
entry AS (
UPDATE charges c SET state = $4, reserved_until = NULL,
  sats = least(c.sats, $3::bigint), free_sats = least(c.free_sats, $3::bigint),
  sats_used = c.sats_used - (c.sats - least(c.sats, $3::bigint)),
  remaining_sats = c.remaining_sats + (c.sats - least(c.sats, $3::bigint)),
  returned_sats = c.returned_sats + (c.sats - least(c.sats, $3::bigint))
FROM before WHERE c.budget_id = before.budget_id AND c.id = before.id
RETURNING c.*
),
back AS (
UPDATE budgets b SET
  funded_sats = b.funded_sats + (before.sats - before.free_sats) - (entry.sats - entry.free_sats),
  day_free_sats = b.day_free_sats - CASE WHEN before.today THEN before.free_sats - entry.free_sats ELSE 0 END,
  day_sats = b.day_sats - CASE WHEN before.today THEN before.sats - entry.sats ELSE 0 END
FROM before JOIN entry USING (id) WHERE b.id = before.budget_id
)
SELECT * FROM entry
"""
BUDGET = "SELECT * FROM budgets WHERE id = $1"
CHARGED = "SELECT * FROM charges WHERE budget_id = $1 AND key = $2 AND state <> 'released'"
OPEN = """
INSERT INTO budgets (id, kind, user_id, allowance_sats, funded_sats, max_calls_per_minute, day, day_free_sats, day_sats,
  day_calls, last_free_sats, minute, minute_calls, created_at, expires_at)
VALUES (:id, :kind, :user_id, :allowance, :funded, :most, '-infinity', 0, 0, 0, 0, '-infinity', 0, :now, :expires_at)
ON CONFLICT (id) DO UPDATE SET allowance_sats = excluded.allowance_sats,
  max_calls_per_minute = excluded.max_calls_per_minute, expires_at = excluded.expires_at, ended_at = NULL
"""
END = "UPDATE budgets SET ended_at = :now WHERE id = ANY(:ids) AND ended_at IS NULL"
TAKE_AWAY = """
UPDATE budgets SET ended_at = :now WHERE id = :id AND ended_at IS NULL AND user_id IS NOT NULL
  AND (CAST(:user_id AS text) IS NULL OR user_id = :user_id) RETURNING user_id
"""
OVERDUE = "UPDATE charges SET state = 'charged', reserved_until = NULL WHERE state = 'reserved' AND reserved_until < $1"

HOLDER = """
SELECT 'api_key' AS kind, user_id FROM api_keys WHERE id = :id AND revoked_at IS NULL
UNION ALL SELECT 'connection', user_id FROM connections WHERE id = :id AND revoked_at IS NULL
"""
ALL = "SELECT * FROM budgets WHERE kind = ANY(:kinds) ORDER BY created_at DESC, id LIMIT :most"
LEDGER_COLUMNS = ("at", "budget_id", "tool", "sats", "free_sats", "state", "key")
LEDGER = f"""
SELECT {", ".join(LEDGER_COLUMNS)} FROM charges
WHERE at >= :since AND (CAST(:budget AS text) IS NULL OR budget_id = :budget) ORDER BY at, id
"""
OF_USER = "SELECT id FROM budgets WHERE user_id = :user_id"
FORGET = ("DELETE FROM charges WHERE budget_id = ANY(:ids)", "DELETE FROM charge_denials WHERE budget_id = ANY(:ids)")


async def charge(pool: HotPool, asked: Asked) -> Any:
    """The new entry; None when the key has one already, or nothing could be taken."""
    try:
        return await pool.fetchrow(CHARGE, *_columns(asked), asked.now)
    except asyncpg.UniqueViolationError:  # the same key at the same moment, and another was quicker
        return None


async def charge_many(pool: HotPool, asked: list[Asked]) -> list[Any]:
    """The new entries. What is not among them was not taken: the budget has not enough for all of its charges here, or one of
    their keys has an entry already; none, when somebody else was quicker with a key."""
    try:
        rows: list[Any] = await pool.fetch(
            CHARGES, *zip(*map(_columns, asked), strict=True), max(one.now for one in asked)
        )
    except asyncpg.UniqueViolationError:
        return []
    return rows


def _columns(one: Asked) -> tuple[Any, ...]:
    return one.budget_id, one.key, one.sats, one.request_hash, one.tool, one.reserved_until


async def give_back(pool: HotPool, budget_id: str, key: str, sats: int, state: str, states: list[str]) -> Any:
    """The entry as it is then; None when there is none in one of these states."""
    return await pool.fetchrow(GIVE_BACK, budget_id, key, sats, state, states)


async def entry(pool: HotPool, budget_id: str, key: str) -> Any:
    return await pool.fetchrow(CHARGED, budget_id, key)


async def budget(pool: HotPool, budget_id: str) -> Any:
    return await pool.fetchrow(BUDGET, budget_id)


async def open_budget(db: AsyncConnection, now: datetime, **values: object) -> None:
    await db.execute(text(OPEN), {**values, "now": now})


async def end(db: AsyncConnection, budget_ids: list[str], now: datetime) -> None:
    await db.execute(text(END), {"ids": budget_ids, "now": now})


async def take_away(db: AsyncConnection, budget_id: str, now: datetime, user_id: str | None) -> str | None:
    """Whose it was; None when it had ended, is an agent's, or is somebody else's."""
    owner: str | None = (await db.execute(text(TAKE_AWAY), {"id": budget_id, "now": now, "user_id": user_id})).scalar()
    return owner


async def settle_overdue(pool: HotPool, now: datetime) -> None:
    await pool.execute(OVERDUE, now)


async def budgets_of(db: AsyncConnection, user_id: str) -> list[str]:
    """Those of somebody's API keys and connections; they go with the account."""
    return [row[0] for row in await db.execute(text(OF_USER), {"user_id": user_id})]


async def forget_charges(db: AsyncConnection, budget_ids: list[str]) -> None:
    """The ledger of budgets that are gone."""
    for statement in FORGET:
        await db.execute(text(statement), {"ids": budget_ids})


async def holder(db: AsyncConnection, name: str) -> tuple[str, str] | None:
    """The kind and the owner of a living API key or connection."""
    row = (await db.execute(text(HOLDER), {"id": name})).first()
    return None if row is None else (row[0], row[1])


async def all_budgets(db: AsyncConnection, kinds: list[str], most: int) -> list[Any]:
    """Newest first."""
    return list((await db.execute(text(ALL), {"kinds": kinds, "most": most})).mappings())


async def ledger(db: AsyncConnection, since: datetime, budget_id: str | None) -> AsyncIterator[Mapping[str, Any]]:
    """Every charge, oldest first, a row at a time."""
    found = await db.stream(text(LEDGER), {"since": since, "budget": budget_id})
    async for row in found.mappings():
        yield dict(row)

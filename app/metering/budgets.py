"""Budgets: opened, looked at, ended."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.metering import store
from app.metering.model import MOST_SATS, Budget
from app.protocol.types import Principal

SUBJECT = "mcp:"  # of agents, as the seed spells it: mcp:<project>:<session>


def budget_of(principal: Principal) -> str | None:
    """The id of the budget that this caller would spend from, if they have one; None for those who cannot have any."""
    if principal.subject.startswith(SUBJECT):
        return principal.subject.rsplit(":", 1)[1]
    return principal.client_id if principal.via == "api_key" else principal.connection_id


async def open_budget(
    db: AsyncConnection,
    budget_id: str,
    kind: str,
    now: datetime,
    *,
    allowance_sats: int,
    funded_sats: int = 0,
    max_calls_per_minute: int | None = None,
    expires_at: datetime | None = None,
    user_id: str | None = None,
) -> None:
    """A new budget; or other limits for one that there is, whose funded balance and counters stay."""
    assert 0 <= allowance_sats <= MOST_SATS
    assert 0 <= funded_sats <= MOST_SATS
    await store.open_budget(
        db,
        now,
        id=budget_id,
        kind=kind,
        user_id=user_id,
        allowance=allowance_sats,
        funded=funded_sats,
        most=max_calls_per_minute,
        expires_at=expires_at,
    )


async def give(
    db: AsyncConnection, name: str, now: datetime, *, allowance_sats: int, max_calls_per_minute: int | None
) -> str | None:
    """A budget for an API key or a connection, or other limits for the one it has. What it is; None when there is none such."""
    held = await store.holder(db, name)
    if held is None:
        return None
    kind, owner = held
    calls = max_calls_per_minute
    await open_budget(db, name, kind, now, user_id=owner, allowance_sats=allowance_sats, max_calls_per_minute=calls)
    await audit.record(db, "budget.set", now, user_id=owner, budget=name, allowance=allowance_sats, calls=calls)
    return kind


async def take_away(db: AsyncConnection, name: str, now: datetime, *, user_id: str | None = None) -> bool:
    """From an API key or a connection, of this user if that is said. What was paid for stays, for when it is given one again.
    False when it has none."""
    owner = await store.take_away(db, name, now, user_id)
    if owner is None:
        return False
    await audit.record(db, "budget.removed", now, user_id=owner, budget=name)
    return True


async def end(db: AsyncConnection, budget_ids: list[str], now: datetime) -> None:
    await store.end(db, budget_ids, now)


async def usage(pool: HotPool, budget_id: str, now: datetime) -> Budget | None:
    """What is used and left now, with nothing charged."""
    row = await store.budget(pool, budget_id)
    return None if row is None else budget(row, now)


def budget(row: Any, now: datetime) -> Budget:
    """Its row, as it counts at this moment: a window that is over counts nothing."""
    today = now.astimezone(UTC).date()
    is_today, day = row["day"] >= today, max(row["day"], today)
    free_used = row["day_free_sats"] if is_today else 0
    return Budget(
        id=row["id"],
        kind=row["kind"],
        allowance_sats=row["allowance_sats"],
        funded_sats=row["funded_sats"],
        free_left=max(0, row["allowance_sats"] - free_used),
        day_sats=row["day_sats"] if is_today else 0,
        day_calls=row["day_calls"] if is_today else 0,
        day_start=datetime.combine(day, time(), UTC),
        max_calls_per_minute=row["max_calls_per_minute"],
        expires_at=row["expires_at"],
        ended_at=row["ended_at"],
        user_id=row["user_id"],
    )

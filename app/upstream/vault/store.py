"""SQL of the vault: who connected what, and the lease under which one of many refreshes (RFC 6749 §6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.db.tables import upstream_accounts


@dataclass(frozen=True, slots=True)
class Account:
    """A user's account at a service. `generation` grows with its tokens; times are UTC."""

    id: str
    user_id: str
    provider: str
    client_id: str
    subject: str | None
    shown: str | None
    scope: tuple[str, ...]
    sealed: bytes
    generation: int
    refreshable: bool
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime | None = None
    broken_at: datetime | None = None
    broken_because: str | None = None
    lease: str | None = None
    lease_until: datetime | None = None


c = upstream_accounts.c
COLUMNS = tuple(c[name] for name in Account.__slots__)
FIND = f"SELECT {', '.join(Account.__slots__)} FROM upstream_accounts WHERE user_id = $1 AND provider = $2"
# Of many at once, one finds it free; whoever held it and died holds it no longer than until `lease_until`.
LEASE = """
UPDATE upstream_accounts SET lease = $3, lease_until = $4
WHERE id = $1 AND generation = $2 AND broken_at IS NULL AND (lease_until IS NULL OR lease_until <= $5)
RETURNING sealed
"""
REFRESHED = """
UPDATE upstream_accounts SET sealed = $3, scope = $4, refreshable = $5, refreshed_at = $6, expires_at = $7,
  generation = generation + 1, lease = NULL, lease_until = NULL
WHERE id = $1 AND lease = $2
RETURNING true
"""
# The service is away: for a moment nobody need find that out again.
LET_GO = "UPDATE upstream_accounts SET lease = NULL, lease_until = $3 WHERE id = $1 AND lease = $2"
_broken = audit.noted(
    "upstream.broken",
    "$3, user_id, NULL, jsonb_build_object('provider', provider, 'because', $4::text)",
    "broken",
    5,
)
BREAK = f"""
WITH broken AS (
  UPDATE upstream_accounts SET broken_at = $3, broken_because = $4, lease = NULL, lease_until = NULL
  WHERE id = $1 AND generation = $2 AND broken_at IS NULL RETURNING user_id, provider
)
{_broken}
"""


async def find(pool: HotPool, user_id: str, provider: str) -> Account | None:
    row = await pool.fetchrow(FIND, user_id, provider)
    return None if row is None else _account(tuple(row.values()))


async def claim(pool: HotPool, account: Account, lease: str, until: datetime, now: datetime) -> bytes | None:
    """The sealed tokens, for the one that may refresh them; None for everybody else."""
    sealed: bytes | None = await pool.fetchval(LEASE, account.id, account.generation, lease, until, now)
    return sealed


async def refreshed(
    pool: HotPool,
    account: Account,
    lease: str,
    sealed: bytes,
    scope: tuple[str, ...],
    refreshable: bool,
    now: datetime,
    expires_at: datetime | None,
) -> bool:
    """False when the lease was lost, or the account was disconnected or connected anew meanwhile."""
    values = (sealed, list(scope), refreshable, now, expires_at)
    return await pool.fetchval(REFRESHED, account.id, lease, *values) is True


async def let_go(pool: HotPool, account: Account, lease: str, until: datetime) -> None:
    await pool.execute(LET_GO, account.id, lease, until)


async def mark_broken(pool: HotPool, account: Account, because: str, now: datetime) -> None:
    """Unless its tokens have changed since."""
    await pool.execute(BREAK, account.id, account.generation, now, because, *audit.who())


async def keep(db: AsyncConnection, account: Account) -> None:
    """In place of what this user had connected at this service."""
    values = {name: getattr(account, name) for name in Account.__slots__} | {"scope": list(account.scope)}
    added = upsert(upstream_accounts).values(**values)
    kept = ("user_id", "provider", "generation")
    told: dict[str, ColumnElement[Any]] = {name: added.excluded[name] for name in values if name not in kept}
    told["generation"] = c.generation + 1
    await db.execute(added.on_conflict_do_update(index_elements=["user_id", "provider"], set_=told))


async def take(db: AsyncConnection, user_id: str, provider: str | None = None) -> list[Account]:
    """Out of the vault: one, or all of a user."""
    gone = delete(upstream_accounts).where(c.user_id == user_id).returning(*COLUMNS)
    rows = await db.execute(gone if provider is None else gone.where(c.provider == provider))
    return [_account(tuple(row)) for row in rows]


async def of_user(db: AsyncConnection, user_id: str) -> list[Account]:
    found = select(*COLUMNS).where(c.user_id == user_id).order_by(c.provider)
    return [_account(tuple(row)) for row in await db.execute(found)]


async def health(db: AsyncConnection) -> dict[str, tuple[int, int]]:
    """By provider: how many are connected, and how many of them are broken."""
    found = select(c.provider, func.count(), func.count(c.broken_at)).group_by(c.provider)
    return {row[0]: (row[1], row[2]) for row in await db.execute(found)}


def _account(row: tuple[object, ...]) -> Account:
    values = dict(zip(Account.__slots__, row, strict=True))
    return Account(**{**values, "scope": tuple(values["scope"])})  # type: ignore[arg-type]

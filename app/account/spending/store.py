"""SQL of a person's budgets: those of their API keys and connections, with their names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.metering.budgets import budget
from app.metering.model import Budget

MINE = """
SELECT b.*, coalesce((SELECT name FROM api_keys k WHERE k.id = b.id AND k.user_id = b.user_id),
  (SELECT client_name FROM clients JOIN connections USING (client_id) WHERE connections.id = b.id)) AS name
FROM budgets b WHERE b.user_id = :user_id ORDER BY b.ended_at DESC NULLS FIRST, b.created_at DESC LIMIT 500
"""


@dataclass(frozen=True, slots=True)
class Mine:
    """A budget with the name of its key or app, if that is still there."""

    budget: Budget
    name: str | None


async def budgets(db: AsyncConnection, user_id: str, now: datetime) -> list[Mine]:
    """Those that may be spent from first; those that were taken away, or whose key is gone, have their ledger still."""
    rows = (await db.execute(text(MINE), {"user_id": user_id})).mappings()
    return [Mine(budget(row, now), row["name"]) for row in rows]

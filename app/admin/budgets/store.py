"""SQL of the budgets of API keys and connections, with whose they are, for admins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.metering.budgets import budget
from app.metering.model import Budget

# Whatever may have a budget, and the one that it has.
HOLDERS = """
SELECT k.id, 'api_key' AS kind, k.user_id, u.email, k.name FROM api_keys k JOIN users u ON u.id = k.user_id
WHERE k.id = CAST(:id AS text) AND k.revoked_at IS NULL
UNION ALL
SELECT c.id, 'connection', c.user_id, u.email, a.client_name FROM connections c JOIN users u ON u.id = c.user_id
JOIN clients a USING (client_id) WHERE c.id = CAST(:id AS text) AND c.revoked_at IS NULL AND c.expires_at > :now
"""
LISTED = """
SELECT b.*, u.email, coalesce((SELECT name FROM api_keys k WHERE k.id = b.id),
  (SELECT client_name FROM clients JOIN connections USING (client_id) WHERE connections.id = b.id)) AS name
FROM budgets b JOIN users u ON u.id = b.user_id WHERE b.kind <> 'agent' AND b.ended_at IS NULL
ORDER BY b.created_at DESC, b.id LIMIT :most
"""
ONE = "SELECT * FROM budgets WHERE id = :id AND kind <> 'agent'"


@dataclass(frozen=True, slots=True)
class Holder:
    """An API key or a connection. `budget` is what it has, if it was ever given one."""

    id: str
    kind: str
    user_id: str
    email: str
    name: str | None
    budget: Budget | None


async def listed(db: AsyncConnection, most: int, now: datetime) -> list[Holder]:
    """Those with a budget, the newest first."""
    rows = (await db.execute(text(LISTED), {"most": most})).mappings()
    return [Holder(r["id"], r["kind"], r["user_id"], r["email"], r["name"], budget(r, now)) for r in rows]


async def holder(db: AsyncConnection, name: str, now: datetime) -> Holder | None:
    """A living key or connection, with a budget or without."""
    row = (await db.execute(text(HOLDERS), {"id": name, "now": now})).first()
    if row is None:
        return None
    found = (await db.execute(text(ONE), {"id": name})).mappings().first()
    held = None if found is None else budget(found, now)
    return Holder(row.id, row.kind, row.user_id, row.email, row.name, held)

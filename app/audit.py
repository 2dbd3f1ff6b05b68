"""The audit log: who did what, written in the same transaction as the deed, never with a secret in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import audit_events


async def record(
    db: AsyncConnection,
    event: str,
    now: datetime,
    *,
    user_id: str | None = None,
    client_id: str | None = None,
    address: str | None = None,
    **detail: Any,
) -> None:
    """Adds one event such as `connection.revoked`; `detail` holds names and numbers for people who look into it."""
    await db.execute(
        insert(audit_events).values(
            at=now, event=event, user_id=user_id, client_id=client_id, address=address, detail=detail
        )
    )


FORGET = """
UPDATE audit_events SET address = NULL, detail = detail - ARRAY['name', 'email', 'account', 'address']
WHERE user_id = :user_id
"""


async def forget(db: AsyncConnection, user_id: str) -> None:
    """Takes what would tell who it was out of the events of somebody whose account is deleted; that they happened stays."""
    await db.execute(text(FORGET), {"user_id": user_id})

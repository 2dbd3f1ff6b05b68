"""Removing a client: it is served no more, and what hangs from it ends within a second (OAuth 2.1 §2)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.clients import store
from app.tokens.store import revoke


async def remove(db: AsyncConnection, client_id: str, now: datetime, *, lifetime: timedelta) -> bool:
    """False when there is no such client. `lifetime` is that of an access token."""
    if not await store.end_client(db, client_id, now):
        return False
    await revoke(db, [client_id], now, lifetime=lifetime)
    await audit.record(db, "client.revoked", now, client_id=client_id)
    return True

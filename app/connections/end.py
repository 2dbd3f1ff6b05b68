"""Ending a connection: no more refresh, its access tokens void within a second, and a line in the audit log (RFC 7009 §2.1)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.connections import store
from app.tokens.store import revoke


async def end(db: AsyncConnection, connection_id: str, because: str, now: datetime, *, lifetime: timedelta) -> bool:
    """In the caller's transaction. `lifetime` is that of an access token. False when it had ended already."""
    ended = await store.end_connection(db, connection_id, because, now)
    if ended is None:
        return False
    await took_back(
        db, connection_id, because, now, user_id=ended.user_id, client_id=ended.client_id, lifetime=lifetime
    )
    return True


async def took_back(
    db: AsyncConnection,
    connection_id: str,
    because: str,
    now: datetime,
    *,
    user_id: str,
    client_id: str,
    lifetime: timedelta,
) -> None:
    """What follows for a connection whose row has just been ended."""
    await revoke(db, [connection_id], now, lifetime=lifetime)
    await audit.record(
        db, "connection.revoked", now, user_id=user_id, client_id=client_id, connection=connection_id, because=because
    )

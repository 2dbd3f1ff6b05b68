"""SQL of the clients."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import clients
from app.protocol.client_metadata import registration_key
from app.protocol.types import Client

CLIENT = """
SELECT client_id, client_name, redirect_uris, grant_types, token_endpoint_auth_method, secret_fingerprint, scope
FROM clients WHERE client_id = $1 AND revoked_at IS NULL
"""


async def client(pool: HotPool, client_id: str) -> Client | None:
    row = await pool.fetchrow(CLIENT, client_id)
    if row is None:
        return None
    return Client(
        client_id=row["client_id"],
        client_name=row["client_name"],
        redirect_uris=tuple(row["redirect_uris"]),
        grant_types=frozenset(row["grant_types"]),
        token_endpoint_auth_method=row["token_endpoint_auth_method"],
        secret_fingerprint=row["secret_fingerprint"],
        scope=row["scope"],
    )


async def removed_on(db: AsyncConnection, client_id: str) -> datetime | None:
    """When a client that is no longer served was removed."""
    return (await db.execute(select(clients.c.revoked_at).where(clients.c.client_id == client_id))).scalar()


async def is_full(db: AsyncConnection, limit: int) -> bool:
    """Whether so many registrations were never used that no more are taken; the sweeper makes room after a day."""
    unused = text(
        "SELECT count(*) FROM (SELECT FROM clients WHERE last_used_at IS NULL AND kind = 'dynamic' LIMIT :n) u"
    )
    return int((await db.execute(unused, {"n": limit})).scalar_one()) >= limit


async def add_client(
    db: AsyncConnection, client_id: str, metadata: dict[str, Any], secret: bytes | None, now: datetime, *, kind: str
) -> tuple[str, datetime]:
    """Registers a client; an identical public one is found rather than added. Returns its id and time of issue."""
    idempotent = secret is None and kind == "dynamic"
    statement = upsert(clients).values(
        client_id=client_id,
        kind=kind,
        client_name=metadata["client_name"],
        redirect_uris=metadata["redirect_uris"],
        grant_types=metadata["grant_types"],
        token_endpoint_auth_method=metadata["token_endpoint_auth_method"],
        secret_fingerprint=secret,
        scope=metadata.get("scope"),
        metadata=metadata,
        registration_key=registration_key(metadata) if idempotent else None,
        created_at=now,
    )
    found = statement.on_conflict_do_update(
        index_elements=["registration_key"],
        index_where=clients.c.revoked_at.is_(None),
        set_={"registration_key": statement.excluded.registration_key},  # touches nothing, but returns the row
    ).returning(clients.c.client_id, clients.c.created_at)
    row = (await db.execute(found)).one()
    return row.client_id, row.created_at


async def listed(db: AsyncConnection) -> list[dict[str, Any]]:
    """For the operator's list, newest first, at most 1,000."""
    c = clients.c
    shown = select(c.client_id, c.client_name, c.kind, c.token_endpoint_auth_method, c.created_at, c.last_used_at)
    found = shown.where(c.revoked_at.is_(None)).order_by(c.created_at.desc()).limit(1000)
    return [dict(row._mapping) for row in await db.execute(found)]


async def registered(db: AsyncConnection, client_id: str) -> dict[str, Any] | None:
    """The metadata as it was registered."""
    found = select(clients.c.metadata).where(clients.c.client_id == client_id, clients.c.revoked_at.is_(None))
    metadata: dict[str, Any] | None = (await db.execute(found)).scalar()
    return metadata


async def end_client(db: AsyncConnection, client_id: str, now: datetime) -> bool:
    """True for the one caller that ends it."""
    ended = update(clients).where(clients.c.client_id == client_id, clients.c.revoked_at.is_(None))
    return (await db.execute(ended.values(revoked_at=now))).rowcount == 1

"""SQL of the clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import clients, consents
from app.protocol.client_metadata import registration_key
from app.protocol.types import Client

COPIED = ("client_name", "redirect_uris", "grant_types", "token_endpoint_auth_method")  # from the metadata
COLUMNS = """client_id, client_name, redirect_uris, grant_types, token_endpoint_auth_method, secret_fingerprint, scope,
  kind, fresh_until, introspects, blocked_at IS NOT NULL AS blocked, access_lifetime, refresh_idle, refresh_absolute,
  metadata @> '{"require_pushed_authorization_requests": true}' AS requires_pushed,
  metadata @> '{"dpop_bound_access_tokens": true}' AS dpop_bound,
  CASE WHEN token_endpoint_auth_method = 'private_key_jwt'
    THEN jsonb_strip_nulls(jsonb_build_object('jwks', metadata->'jwks', 'jwks_uri', metadata->'jwks_uri')) END AS keys"""
CLIENT = f"SELECT {COLUMNS} FROM clients WHERE client_id = $1 AND revoked_at IS NULL"


async def client(pool: HotPool, client_id: str) -> Client | None:
    row = await pool.fetchrow(CLIENT, client_id)
    return None if row is None else _client(row)


def _client(row: Any) -> Client:
    return Client(
        client_id=row["client_id"],
        client_name=row["client_name"],
        redirect_uris=tuple(row["redirect_uris"]),
        grant_types=frozenset(row["grant_types"]),
        token_endpoint_auth_method=row["token_endpoint_auth_method"],
        secret_fingerprint=row["secret_fingerprint"],
        scope=row["scope"],
        kind=row["kind"],
        keys=None if row["keys"] is None else json.loads(row["keys"]),
        fresh_until=row["fresh_until"],
        requires_pushed=row["requires_pushed"],
        dpop_bound=row["dpop_bound"],
        introspects=row["introspects"],
        blocked=row["blocked"],
        access_lifetime=row["access_lifetime"],
        refresh_idle=row["refresh_idle"],
        refresh_absolute=row["refresh_absolute"],
    )


# What a consent was given to is the name, the redirects, the method and the keys: when one of them changes, the clock of
# `changed_at` starts anew and older consents no longer count (CIMD draft §6.3). A removed client stays removed.
KEEP_DOCUMENT = f"""
INSERT INTO clients AS c (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method, scope,
                          metadata, created_at, changed_at, fresh_until)
VALUES ($1, 'document', $2, $3, $4, $5, $6, $7, $8, $8, $9)
ON CONFLICT (client_id) DO UPDATE SET
  client_name = excluded.client_name, redirect_uris = excluded.redirect_uris, grant_types = excluded.grant_types,
  token_endpoint_auth_method = excluded.token_endpoint_auth_method, scope = excluded.scope,
  metadata = excluded.metadata, fresh_until = excluded.fresh_until,
  changed_at = CASE WHEN (c.client_name, c.redirect_uris, c.token_endpoint_auth_method,
                          c.metadata->'jwks', c.metadata->'jwks_uri')
    IS DISTINCT FROM (excluded.client_name, excluded.redirect_uris, excluded.token_endpoint_auth_method,
                      excluded.metadata->'jwks', excluded.metadata->'jwks_uri')
    THEN excluded.changed_at ELSE c.changed_at END
WHERE c.revoked_at IS NULL
RETURNING {COLUMNS}
"""


async def keep_document(
    pool: HotPool, url: str, metadata: dict[str, Any], now: datetime, fresh_until: datetime
) -> Client | None:
    """The client of this document, which is kept until it is due again; None when the operator removed the client."""
    row = await pool.fetchrow(
        KEEP_DOCUMENT,
        url,
        metadata["client_name"],
        metadata["redirect_uris"],
        metadata["grant_types"],
        metadata["token_endpoint_auth_method"],
        metadata.get("scope"),
        json.dumps(metadata),
        now,
        fresh_until,
    )
    return None if row is None else _client(row)


async def removed_on(db: AsyncConnection, client_id: str) -> datetime | None:
    """When a client that is no longer served was removed."""
    return (await db.execute(select(clients.c.revoked_at).where(clients.c.client_id == client_id))).scalar()


# One statement: is there room among those that nobody used, the client (an identical public one is found rather than
# added), and the line in the audit log.
REGISTER = """
WITH room AS (
  SELECT FROM (SELECT count(*) AS unused FROM (
    SELECT FROM clients WHERE last_used_at IS NULL AND kind = 'dynamic' LIMIT $12) u) n
  WHERE $12 = 0 OR unused < $12
), added AS (
  INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,
                       secret_fingerprint, scope, metadata, registration_key, created_at, management_fingerprint)
  SELECT $1, 'dynamic', $2, $3, $4, $5, $6, $7, $8, $9, $10, $13 FROM room
  ON CONFLICT (registration_key) WHERE revoked_at IS NULL
  DO UPDATE SET registration_key = excluded.registration_key
  RETURNING client_id, client_name, created_at
), noted AS (
  INSERT INTO audit_events (at, event, client_id, address, detail)
  SELECT $10, 'client.registered', client_id, $11, jsonb_build_object('name', client_name) FROM added
)
SELECT client_id, created_at FROM added
"""


async def register(
    pool: HotPool,
    client_id: str,
    metadata: dict[str, Any],
    secret: bytes | None,
    management: bytes | None,
    address: str,
    max_unused: int,
    now: datetime,
) -> tuple[str, datetime] | None:
    """The id and the time of issue; None when `max_unused` registrations (0: no limit) were never used.

    Without `management` the client is shared by everybody who registers the same.
    """
    row = await pool.fetchrow(
        REGISTER,
        client_id,
        metadata["client_name"],
        metadata["redirect_uris"],
        metadata["grant_types"],
        metadata["token_endpoint_auth_method"],
        secret,
        metadata.get("scope"),
        json.dumps(metadata),
        registration_key(metadata) if management is None else None,
        now,
        address,
        max_unused,
        management,
    )
    return None if row is None else (row["client_id"], row["created_at"])


async def add_static(
    db: AsyncConnection,
    client_id: str,
    metadata: dict[str, Any],
    secret: bytes | None,
    now: datetime,
    *,
    introspects: bool = False,
) -> None:
    """A client that the operator registers by hand; it is never swept."""
    values = {name: metadata[name] for name in COPIED}
    await db.execute(
        insert(clients).values(
            client_id=client_id,
            kind="static",
            secret_fingerprint=secret,
            scope=metadata.get("scope"),
            metadata=metadata,
            introspects=introspects,
            created_at=now,
            **values,
        )
    )


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


@dataclass(frozen=True, slots=True)
class Managed:
    """A client and the metadata it may change, for whoever holds its registration access token."""

    client_id: str
    metadata: dict[str, Any]
    secret_fingerprint: bytes | None
    issued_at: datetime


async def managed(db: AsyncConnection, client_id: str, management: bytes) -> Managed | None:
    """None for a wrong token, an unknown client and one that cannot be managed alike."""
    c = clients.c
    found = select(c.client_id, c.metadata, c.secret_fingerprint, c.created_at).where(
        c.client_id == client_id, c.management_fingerprint == management, c.revoked_at.is_(None)
    )
    row = (await db.execute(found)).one_or_none()
    return None if row is None else Managed(*row)


async def replace_metadata(db: AsyncConnection, client_id: str, management: bytes, metadata: dict[str, Any]) -> bool:
    """False when the client ended meanwhile. What users allowed was for the app as it was, so they are asked again."""
    mine = update(clients).where(
        clients.c.client_id == client_id,
        clients.c.management_fingerprint == management,
        clients.c.revoked_at.is_(None),
    )
    values = {name: metadata[name] for name in COPIED}
    if (await db.execute(mine.values(metadata=metadata, scope=metadata.get("scope"), **values))).rowcount == 0:
        return False
    await db.execute(delete(consents).where(consents.c.client_id == client_id))
    return True

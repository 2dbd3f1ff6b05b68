"""SQL of the clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.db.tables import clients, users
from app.protocol.types import Client

COPIED = ("client_name", "redirect_uris", "grant_types", "token_endpoint_auth_method")  # from the metadata
COLUMNS = """xmin AS version, client_id, client_name, redirect_uris, grant_types, token_endpoint_auth_method, secret_fingerprint, scope,
  kind, fresh_until, introspects, (SELECT u.id FROM users u WHERE u.id = owner_id AND u.disabled_at IS NULL) AS owner_id,
  blocked_at IS NOT NULL AS blocked, access_lifetime, refresh_idle, refresh_absolute,
  metadata @> '{"require_pushed_authorization_requests": true}' AS requires_pushed,
  metadata @> '{"dpop_bound_access_tokens": true}' AS dpop_bound, metadata->>'gatehouse_copy_of' AS copy_of,
  CASE WHEN token_endpoint_auth_method = 'private_key_jwt'
    THEN jsonb_strip_nulls(jsonb_build_object('jwks', metadata->'jwks', 'jwks_uri', metadata->'jwks_uri')) END AS keys"""
CLIENT = f"SELECT {COLUMNS} FROM clients WHERE client_id = $1 AND revoked_at IS NULL"


async def client(pool: HotPool, client_id: str) -> Client | None:
    row = await pool.fetchrow(CLIENT, client_id)
    return None if row is None else _client(row)


IS_SAME = """
SELECT EXISTS (
  SELECT FROM clients c JOIN users u ON u.id = c.owner_id
  WHERE c.client_id = $1 AND c.xmin = $2 AND c.revoked_at IS NULL AND u.id = $3 AND u.disabled_at IS NULL
)
"""


async def is_same(pool: HotPool, known: Client) -> bool:
    """Whether the row of a client with an owner, and that owner's, still say what is remembered of them."""
    return bool(await pool.fetchval(IS_SAME, known.client_id, known.version, known.owner_id))


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
        copy_of=row["copy_of"],
        requires_pushed=row["requires_pushed"],
        dpop_bound=row["dpop_bound"],
        owner_id=row["owner_id"],
        introspects=row["introspects"],
        blocked=row["blocked"],
        access_lifetime=row["access_lifetime"],
        refresh_idle=row["refresh_idle"],
        refresh_absolute=row["refresh_absolute"],
        version=row["version"],
    )


_kept = audit.noted(
    "client.document_read",
    "$8, NULL, client_id, jsonb_build_object('name', client_name, 'new', is_new)",
    "kept WHERE changed_at = $8",
    10,
)
# What a consent was given to is the name, the redirects, the method and the keys: when one of them changes, the clock of
# `changed_at` starts anew and older consents no longer count (CIMD draft §6.3). A removed client stays removed.
KEEP_DOCUMENT = f"""
WITH kept AS (
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
RETURNING {COLUMNS}, changed_at, xmax = 0 AS is_new
), noted AS ({_kept})
SELECT * FROM kept
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
        *audit.who(),
    )
    return None if row is None else _client(row)


@dataclass(frozen=True, slots=True)
class Removed:
    """What is left of a client that is no longer served."""

    client_name: str
    redirect_uris: tuple[str, ...]
    removed_at: datetime


async def removed(db: AsyncConnection, client_id: str) -> Removed | None:
    """None for a client that is served and for one that never was; and for one that nobody used, which is swept."""
    c = clients.c
    found = select(c.client_name, c.redirect_uris, c.revoked_at)
    row = (await db.execute(found.where(c.client_id == client_id, c.revoked_at.is_not(None)))).one_or_none()
    return None if row is None else Removed(row[0], tuple(row[1]), row[2])


async def add_static(
    db: AsyncConnection,
    client_id: str,
    metadata: dict[str, Any],
    secret: bytes | None,
    now: datetime,
    *,
    introspects: bool = False,
    owner_id: str | None = None,
) -> None:
    """A client that the operator registers by hand; it is never swept. `owner_id`: in whose name it acts (RFC 6749 §4.4)."""
    values = {name: metadata[name] for name in COPIED}
    await db.execute(
        insert(clients).values(
            client_id=client_id,
            kind="static",
            secret_fingerprint=secret,
            scope=metadata.get("scope"),
            metadata=metadata,
            introspects=introspects,
            owner_id=owner_id,
            created_at=now,
            **values,
        )
    )


async def listed(db: AsyncConnection) -> list[dict[str, Any]]:
    """For the operator's list, newest first, at most 1,000. `acts_for`: the owner's e-mail, of a program without a person."""
    c = clients.c
    shown = select(
        c.client_id,
        c.client_name,
        c.kind,
        c.token_endpoint_auth_method,
        users.c.email.label("acts_for"),
        c.created_at,
        c.last_used_at,
    ).join_from(clients, users, users.c.id == c.owner_id, isouter=True)
    found = shown.where(c.revoked_at.is_(None)).order_by(c.created_at.desc()).limit(1000)
    return [dict(row._mapping) for row in await db.execute(found)]


async def registered(db: AsyncConnection, client_id: str) -> dict[str, Any] | None:
    """The metadata as it was registered, and the e-mail of the owner as `acts_for`, where there is one."""
    c = clients.c
    shown = select(c.metadata, users.c.email).join_from(clients, users, users.c.id == c.owner_id, isouter=True)
    row = (await db.execute(shown.where(c.client_id == client_id, c.revoked_at.is_(None)))).one_or_none()
    if row is None:
        return None
    return {**row.metadata, "acts_for": row.email} if row.email else row.metadata


async def end_client(db: AsyncConnection, client_id: str, now: datetime) -> bool:
    """True for the one caller that ends it."""
    ended = update(clients).where(clients.c.client_id == client_id, clients.c.revoked_at.is_(None))
    return (await db.execute(ended.values(revoked_at=now))).rowcount == 1

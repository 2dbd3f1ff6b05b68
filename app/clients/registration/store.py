"""SQL of registration and of its management by the client itself (RFC 7591, RFC 7592)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.clients.store import COPIED
from app.db.engine import HotPool
from app.db.tables import clients, consents
from app.protocol.client_metadata import registration_key

_registered = audit.noted(
    "client.registered", "$10, NULL, client_id, jsonb_build_object('name', client_name)", "added", 13
)
# One statement: is there room among those that nobody used, the client (an identical public one is found rather than
# added), and the line in the audit log.
REGISTER = f"""
WITH room AS (
  SELECT FROM (SELECT count(*) AS unused FROM (
    SELECT FROM clients WHERE last_used_at IS NULL AND kind = 'dynamic' LIMIT $11) u) n
  WHERE $11 = 0 OR unused < $11 OR EXISTS (SELECT FROM clients WHERE registration_key = $9 AND revoked_at IS NULL)
), added AS (
  INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,
                       secret_fingerprint, scope, metadata, registration_key, created_at, management_fingerprint)
  SELECT $1, 'dynamic', $2, $3, $4, $5, $6, $7, $8, $9, $10, $12 FROM room
  ON CONFLICT (registration_key) WHERE revoked_at IS NULL
  DO UPDATE SET registration_key = excluded.registration_key
  RETURNING client_id, client_name, created_at
), noted AS ({_registered})
SELECT client_id, created_at FROM added
"""


async def register(
    pool: HotPool,
    client_id: str,
    metadata: dict[str, Any],
    secret: bytes | None,
    management: bytes | None,
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
        max_unused,
        management,
        *audit.who(),
    )
    return None if row is None else (row["client_id"], row["created_at"])


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

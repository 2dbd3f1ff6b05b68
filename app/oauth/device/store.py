"""SQL of the device codes: asked for, decided about, polled for until they open a connection (RFC 8628)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.connections.store import authorization_of
from app.db.engine import HotPool
from app.db.tables import device_codes
from app.protocol.scope import ADMIN
from app.protocol.types import Authorization, Viewer

ADD_DEVICE_CODE = """
INSERT INTO device_codes (fingerprint, user_code, client_id, scope, resource, expires_at, poll_interval)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_code) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """What a device asks for (RFC 8628 §3.1)."""

    client_id: str
    scope: tuple[str, ...]
    resource: str


async def add_device_code(
    pool: HotPool, key: bytes, user_code: str, asked: DeviceRequest, expires_at: datetime, poll_interval: int
) -> bool:
    """`poll_interval` in seconds. False when another device is just shown the same `user_code`."""
    values = (key, user_code, asked.client_id, list(asked.scope), asked.resource, expires_at, poll_interval)
    return bool(await pool.execute(ADD_DEVICE_CODE, *values) == "INSERT 0 1")


async def waiting_device(db: AsyncConnection, user_code: str, now: datetime) -> tuple[bytes, DeviceRequest] | None:
    """The device that shows this code and waits for somebody's decision, and the key of its row."""
    d = device_codes.c
    found = select(d.fingerprint, d.client_id, d.scope, d.resource).where(
        d.user_code == user_code, d.allowed.is_(None), d.expires_at > now
    )
    row = (await db.execute(found)).one_or_none()
    return None if row is None else (row.fingerprint, DeviceRequest(row.client_id, tuple(row.scope), row.resource))


async def waiting_at(db: AsyncConnection, key: bytes) -> tuple[str, tuple[str, ...]] | None:
    """The code that is shown by the device of this row, and the scope that it asks for."""
    d = device_codes.c
    row = (await db.execute(select(d.user_code, d.scope).where(d.fingerprint == key))).one_or_none()
    return None if row is None else (row.user_code, tuple(row.scope))


async def decide_device(
    db: AsyncConnection, key: bytes, viewer: Viewer, now: datetime, *, allowed: bool
) -> DeviceRequest | None:
    """The one decision about a device; None when it was taken already, or came too late. Only admins give the scope `admin`."""
    d = device_codes.c
    undecided = update(device_codes).where(d.fingerprint == key, d.allowed.is_(None), d.expires_at > now)
    decision = undecided.values(allowed=allowed, user_id=viewer.user_id, authenticated_at=viewer.authenticated_at)
    if not viewer.is_admin:
        decision = decision.values(scope=func.array_remove(d.scope, ADMIN))
    row = (await db.execute(decision.returning(d.client_id, d.scope, d.resource))).one_or_none()
    return None if row is None else DeviceRequest(row.client_id, tuple(row.scope), row.resource)


EARLY = "d.polled_at > $3::timestamptz - make_interval(secs => d.poll_interval - 1)"  # a second for the network
DEVICE_PLACE = "a device with a code"  # where the answer goes, on the account page
_opened = audit.noted(
    "token.issued",
    f"$3, user_id, client_id, {audit.grant('device_code', '$4::text')}",
    "asked WHERE consumed_at IS NOT NULL",
    9,
)
# One poll, whatever comes of it. An early one moves the interval instead of `polled_at`; an allowed code is consumed and
# opens its connection. Of many polls at once each finds the row as the one before it left it, so one consumes it.
POLL_DEVICE_CODE = f"""
WITH asked AS (
  UPDATE device_codes d SET
    polled_at = CASE WHEN {EARLY} THEN d.polled_at ELSE $3 END,
    poll_interval = d.poll_interval + CASE WHEN {EARLY} THEN 5 ELSE 0 END,
    consumed_at = CASE WHEN d.allowed AND d.expires_at > $3
      AND EXISTS (SELECT FROM users u WHERE u.id = d.user_id AND u.disabled_at IS NULL) THEN $3 END
  WHERE d.fingerprint = $1 AND d.client_id = $2 AND d.consumed_at IS NULL AND ($8::text IS NULL OR d.resource = $8)
  RETURNING d.*
), opened AS (
  INSERT INTO connections (id, user_id, client_id, redirect_host, resource, scope, refresh_counter,
                           created_at, refreshed_at, last_used_at, expires_at, authenticated_at, dpop_jkt)
  SELECT $4, user_id, client_id, $6, resource, scope, 0, $3, $3, $3, $5, authenticated_at, $7::text
  FROM asked WHERE consumed_at IS NOT NULL
), noted AS ({_opened})
SELECT user_id, client_id, resource, scope, authenticated_at, u.email, u.name, u.email_verified_at IS NOT NULL AS email_verified,
  consumed_at IS NOT NULL AS opened, allowed,
  expires_at <= $3 AS expired, polled_at <> $3 AS early
FROM asked LEFT JOIN users u ON u.id = asked.user_id
"""


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll found: an authorization, or why there is none. `allowed` is absent until the user decides."""

    authorization: Authorization | None
    allowed: bool | None
    expired: bool
    early: bool


async def poll_device_code(
    pool: HotPool,
    key: bytes,
    client_id: str,
    connection_id: str,
    now: datetime,
    expires_at: datetime,
    bound_to: str | None,
    audience: str | None,
) -> Polled | None:
    """Consumes an allowed code and opens its connection, at once or not at all. None for one that is unknown or used.

    `bound_to` is the key that every refresh is to present (RFC 9449 §5), `audience` the resource that is insisted on.
    """
    values = (client_id, now, connection_id, expires_at, DEVICE_PLACE, bound_to, audience, *audit.who())
    row = await pool.fetchrow(POLL_DEVICE_CODE, key, *values)
    if row is None:
        return None
    authorization = authorization_of(row, connection_id, 0, "device_code") if row["opened"] else None
    return Polled(authorization, row["allowed"], row["expired"], row["early"])

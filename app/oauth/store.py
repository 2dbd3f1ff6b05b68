"""SQL of the authorization endpoint: what was allowed before, and the codes; introspection; device codes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import consents, device_codes
from app.protocol.pending import Pending
from app.protocol.redirect_uri import shown_host
from app.protocol.types import Consent, Principal

CONSENT = """
SELECT scope, given_at FROM consents WHERE user_id = $1 AND client_id = $2 AND redirect_host = $3 AND resource = $4
"""


async def consent(pool: HotPool, user_id: str, pending: Pending) -> Consent | None:
    """What the user allowed this client before, for the same redirect host and resource."""
    row = await pool.fetchrow(CONSENT, user_id, pending.client_id, shown_host(pending.redirect_uri), pending.resource)
    return None if row is None else Consent(frozenset(row["scope"]), row["given_at"])


async def remember_consent(db: AsyncConnection, user_id: str, pending: Pending, now: datetime) -> None:
    """Adds what was allowed now to what was allowed before."""
    statement = upsert(consents).values(
        user_id=user_id,
        client_id=pending.client_id,
        redirect_host=shown_host(pending.redirect_uri),
        resource=pending.resource,
        scope=sorted(pending.scope),
        given_at=now,
    )
    union = text("ARRAY(SELECT DISTINCT unnest(consents.scope || excluded.scope) ORDER BY 1)")
    await db.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id", "client_id", "redirect_host", "resource"],
            set_={"scope": union, "given_at": statement.excluded.given_at},
        )
    )


ADD_CODE = """
INSERT INTO codes
  (fingerprint, client_id, user_id, redirect_uri, redirect_host, code_challenge, scope, resource, expires_at, pushed_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (pushed_id) WHERE pushed_id IS NOT NULL DO UPDATE
  SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at
  WHERE codes.consumed_at IS NULL AND codes.user_id = excluded.user_id
"""


async def add_code(pool: HotPool, key: bytes, user_id: str, pending: Pending, expires_at: datetime) -> bool:
    """A pushed request gives one code: the same user who reloads gets another in its place, as long as the first was not
    redeemed (RFC 9126 §4). False when the request is used up."""
    done = await pool.execute(
        ADD_CODE,
        key,
        pending.client_id,
        user_id,
        pending.redirect_uri,
        shown_host(pending.redirect_uri),
        pending.code_challenge,
        list(pending.scope),
        pending.resource,
        expires_at,
        pending.pushed_id,
    )
    return bool(done == "INSERT 0 1")


# The database itself is asked, not this process's memory of it: a revocation is known here at once.
HOLDER = """
SELECT EXISTS (SELECT FROM revocations WHERE handle = ANY($2::text[]) AND revoked_at >= to_timestamp($3)) AS revoked,
  (SELECT email FROM users WHERE id = $1) AS email
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """What the database adds to a verified token. `email` is absent when its subject is no person."""

    revoked: bool
    email: str | None


async def holder(pool: HotPool, principal: Principal) -> Holder:
    row = await pool.fetchrow(HOLDER, principal.subject, list(principal.handles), principal.issued_at)
    return Holder(row["revoked"], row["email"])


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


async def decide_device(
    db: AsyncConnection, key: bytes, user_id: str, now: datetime, *, allowed: bool
) -> DeviceRequest | None:
    """The one decision about a device; None when it was taken already, or came too late."""
    d = device_codes.c
    undecided = update(device_codes).where(d.fingerprint == key, d.allowed.is_(None), d.expires_at > now)
    decided = undecided.values(allowed=allowed, user_id=user_id).returning(d.client_id, d.scope, d.resource)
    row = (await db.execute(decided)).one_or_none()
    return None if row is None else DeviceRequest(row.client_id, tuple(row.scope), row.resource)

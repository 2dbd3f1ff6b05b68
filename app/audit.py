"""The audit log: who did what, written in the same transaction as the deed, never with a secret in it (docs/audit.md has every event)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import asking
from app.db.engine import HotPool
from app.db.tables import audit_events

# As text: built anew, the statement takes longer than all else of it.
RECORD = text(
    "INSERT INTO audit_events (at, event, user_id, client_id, address, request_id, actor, actor_id, detail) VALUES "
    "(:at, :event, :user_id, :client_id, :address, :request_id, :actor, :actor_id, CAST(:detail AS jsonb))"
)
BATCH = 1000
OPEN = "SELECT set_config('gatehouse.audit', :why, true)"  # what migration 0012's trigger asks for, in this transaction


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
    """Adds one event such as `connection.revoked`; `detail` holds names and numbers for people who look into it.

    `user_id` and `client_id` are whom it concerns. Who did it and from where is known from the request (app/asking.py).
    """
    where, request, kind, identifier = who()
    values = {"at": now, "event": event, "user_id": user_id, "client_id": client_id, "address": address or where}
    said = json.dumps({name: value for name, value in detail.items() if value is not None})
    await db.execute(RECORD, values | {"request_id": request, "actor": kind, "actor_id": identifier, "detail": said})


INSERT = "INSERT INTO audit_events (at, user_id, client_id, detail, event, address, request_id, actor, actor_id)"


def noted(event: str, values: str, source: str, first: int) -> str:
    """The same for a hot statement: an INSERT to stand in it as a CTE, one row for each of `source`.

    `values` is SQL for the time, whom it concerns (user, client) and the detail (jsonb), in this order; the parameters
    `$first` and the three after it are `*who()`.
    """
    places = ", ".join(f"${number}::text" for number in range(first, first + 4))
    return f"{INSERT} SELECT {values}, '{event}', {places} FROM {source}"


def grant(via: str, connection: str) -> str:
    """The detail of `token.issued`, as SQL, where the source has a `scope`; `connection` is SQL too."""
    return f"jsonb_build_object('grant', '{via}', 'connection', {connection}, 'scope', array_to_string(scope, ' '))"


def another_day(before: str, now: str) -> str:
    """SQL that is true for the first time in a day, in UTC."""
    return f"{before} < date_trunc('day', {now}::timestamptz, 'UTC')"


ADD = f"{INSERT} VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9)"


async def add(
    pool: HotPool, event: str, now: datetime, *, user_id: str | None = None, client_id: str | None = None, **detail: str
) -> None:
    """One event by itself, where the deed wrote nothing to the database: a refusal, a token made from a token."""
    await pool.execute(ADD, now, user_id, client_id, json.dumps(detail), event, *who())


def who() -> tuple[str | None, str | None, str, str | None]:
    """The address, the request's id, and the kind and id of the actor."""
    actor, request = asking.actor(), asking.request_id.get()
    return asking.address(), None if request == "-" else request, actor.kind, actor.id


async def forget(db: AsyncConnection, days: int, now: datetime) -> int:
    """For the sweep: the oldest BATCH of events, as far as they are older than `days` (0: for ever). How many went.

    Ids grow with time, so the first BATCH by id are looked at and no more, whatever the log has grown to.
    """
    if days == 0:
        return 0
    c = audit_events.c
    first = select(c.id, c.at).order_by(c.id).limit(BATCH).subquery()
    old = select(first.c.id).where(first.c.at < now - timedelta(days=days))
    await db.execute(text(OPEN), {"why": "retention"})
    gone = (await db.execute(delete(audit_events).where(c.id.in_(old)))).rowcount
    await db.execute(text(OPEN), {"why": ""})
    return gone


# What somebody else did to them keeps that one's address; what they did to somebody else keeps the other's name.
FORGET_PERSON = """
UPDATE audit_events SET
  address = CASE WHEN actor IN ('user', 'operator') AND actor_id <> :user_id THEN address END,
  detail = CASE WHEN user_id = :user_id THEN detail - '{email,name,subject,passkey}'::text[] ELSE detail END,
  user_id = nullif(user_id, :user_id), actor_id = nullif(actor_id, :user_id)
WHERE user_id = :user_id OR (actor = 'user' AND actor_id = :user_id)
"""


# At every address they ever had, as far as it is not somebody else's by now.
FORGET_INVITED = """
UPDATE audit_events SET detail = detail - 'email' WHERE detail->>'email' IN (
    SELECT :email UNION
    SELECT detail->>'email' FROM audit_events WHERE user_id = :user_id AND event IN ('user.created', 'email.changed')
    EXCEPT SELECT email FROM users WHERE id <> :user_id)
  AND event IN ('invitation.made', 'invitation.sent_again', 'invitation.accepted', 'invitation.revoked')
"""


async def forget_person(db: AsyncConnection, user_id: str, email: str) -> int:
    """When somebody's account is deleted: what happened stays in the log, who it was does not. How many events it was."""
    await db.execute(text(OPEN), {"why": "person"})
    await db.execute(
        text(FORGET_INVITED), {"user_id": user_id, "email": email}
    )  # first: it reads what the next forgets
    changed = (await db.execute(text(FORGET_PERSON), {"user_id": user_id})).rowcount
    await db.execute(text(OPEN), {"why": ""})
    return changed

"""SQL of the connections: opened by a code, moved on by refresh tokens, ended by revocation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import HotPool
from app.db.tables import codes, connections
from app.protocol.scope import IDENTITY
from app.protocol.types import Authorization, Person, SignIn

_opened = audit.noted(
    "token.issued", f"$6, user_id, client_id, {audit.grant('authorization_code', '$5::text')}", "spent", 11
)
# Everything is checked in the WHERE, so a refusal leaves the code as it was; of many at once, one finds it unconsumed.
REDEEM_CODE = f"""
WITH spent AS (
  UPDATE codes c SET consumed_at = $6, connection_id = $5
  FROM users u
  WHERE c.fingerprint = $1 AND c.client_id = $2 AND c.code_challenge = $3 AND ($4::text IS NULL OR c.redirect_uri = $4)
    AND (c.dpop_jkt IS NULL OR c.dpop_jkt = $8) AND ($10::text IS NULL OR c.resource = $10)
    AND c.consumed_at IS NULL AND c.expires_at > $6 AND u.id = c.user_id AND u.disabled_at IS NULL
    AND ($15::xid IS NULL OR EXISTS (SELECT FROM clients k WHERE k.client_id = $2 AND k.xmin = $15))
  RETURNING c.user_id, c.client_id, c.redirect_host, c.resource, c.scope, c.nonce, c.authenticated_at, u.email, u.name,
    u.email_verified_at IS NOT NULL AS email_verified
), opened AS (
  INSERT INTO connections (id, user_id, client_id, redirect_host, resource, scope, refresh_counter,
                           created_at, refreshed_at, last_used_at, expires_at, authenticated_at, dpop_jkt)
  SELECT $5, user_id, client_id, redirect_host, resource, scope, 0, $6, $6, $6, $7, authenticated_at, $9::text FROM spent
), noted AS ({_opened})
SELECT user_id, client_id, resource, scope, nonce, authenticated_at, email, name, email_verified FROM spent
"""


async def redeem_code(
    pool: HotPool,
    key: bytes,
    client_id: str,
    code_challenge: str,
    redirect_uri: str | None,
    connection_id: str,
    now: datetime,
    expires_at: datetime,
    jkt: str | None,
    bound_to: str | None,
    audience: str | None,
    version: int | None = None,
) -> Authorization | None:
    """Consumes the code and opens the connection it stands for, at once or not at all. None: see `replayed`.

    `jkt` is the key that is presented, `bound_to` the one that every refresh is to present;
    `audience` the resource that the request insists on (RFC 8707 §2.2), `version` what the client's row has to be at.
    """
    values = (code_challenge, redirect_uri, connection_id, now, expires_at, jkt, bound_to, audience, *audit.who())
    row = await pool.fetchrow(REDEEM_CODE, key, client_id, *values, version)
    return None if row is None else authorization_of(row, connection_id, 0, "authorization_code")


async def replayed(db: AsyncConnection, key: bytes, client_id: str, code_challenge: str) -> str | None:
    """The connection that this code gave before, if who presents it again could have been its owner.

    A replay with a wrong verifier revokes nothing: whoever saw a code could otherwise log its owner out (OAuth 2.1 §7.5.2).
    """
    found = select(codes.c.connection_id).where(
        codes.c.fingerprint == key,
        codes.c.client_id == client_id,
        codes.c.code_challenge == code_challenge,
        codes.c.consumed_at.is_not(None),
    )
    return (await db.execute(found)).scalar()


# Every statement within REFRESH sees the row as it was: so the log has the first refresh of a day, in UTC, and no client can
# fill it by refreshing on and on.
_moved_on = audit.noted(
    "token.issued",
    f"$4, user_id, client_id, {audit.grant('refresh_token', '$1::text')}",
    f"moved WHERE {audit.another_day('(SELECT refreshed_at FROM connections WHERE id = $1)', '$4')}",
    10,
)
# Counter n in hand: n is the present token and becomes n + 1; or n is the one before it, its successor has not been used
# and the grace is not over, and the same successor is given again (parallel processes, lost answers). Else no row.
REFRESH = f"""
WITH moved AS (
UPDATE connections c SET
  refresh_counter = $2 + 1,
  refreshed_at = CASE WHEN c.refresh_counter = $2 THEN $4 ELSE c.refreshed_at END,
  last_used_at = $4
FROM users u
WHERE c.id = $1 AND c.client_id = $3 AND c.revoked_at IS NULL AND u.id = c.user_id AND u.disabled_at IS NULL
  AND (c.refresh_counter = $2 OR (c.refresh_counter = $2 + 1 AND c.refreshed_at > $5))
  AND c.expires_at > $4 AND c.refreshed_at > $6 AND c.scope @> $7::text[]
  AND (c.dpop_jkt IS NULL OR c.dpop_jkt = $8) AND ($9::text IS NULL OR c.resource = $9)
  AND ($14::xid IS NULL OR EXISTS (SELECT FROM clients k WHERE k.client_id = $3 AND k.xmin = $14))
RETURNING c.user_id, c.client_id, c.resource, c.scope, c.refresh_counter, c.authenticated_at, u.email, u.name,
  u.email_verified_at IS NOT NULL AS email_verified
), noted AS ({_moved_on})
SELECT * FROM moved
"""


async def refresh(
    pool: HotPool,
    connection_id: str,
    counter: int,
    client_id: str,
    scope: tuple[str, ...],
    jkt: str | None,
    audience: str | None,
    now: datetime,
    *,
    grace: timedelta,
    idle: timedelta,
    version: int | None = None,
) -> Authorization | None:
    """The next authorization of this connection, or None: see `end_if_reused` and `held`. `scope` narrows the access token
    only, `version` is what the client's row has to be at.

    Of `openid`, `profile` and `email` what was not given is left out: clients repeat here what they asked for first.
    """
    tools = [word for word in scope if word not in IDENTITY]
    values = (now, now - grace, now - idle, tools, jkt, audience, *audit.who())
    row = await pool.fetchrow(REFRESH, connection_id, counter, client_id, *values, version)
    if row is None:
        return None
    return authorization_of(row, connection_id, row["refresh_counter"], "refresh_token", scope)


# The token that `REFRESH` would take at this moment, asked without taking it.
REFRESHABLE = """
SELECT c.user_id, u.email, c.scope, c.refreshed_at, least(c.expires_at, c.refreshed_at + $6::interval) AS ends_at
FROM connections c JOIN users u ON u.id = c.user_id
WHERE c.id = $1 AND c.client_id = $3 AND c.revoked_at IS NULL AND u.disabled_at IS NULL
  AND (c.refresh_counter = $2 OR (c.refresh_counter = $2 + 1 AND c.refreshed_at > $5))
  AND c.expires_at > $4 AND c.refreshed_at + $6::interval > $4
"""


@dataclass(frozen=True, slots=True)
class Refreshable:
    """What a refresh token that still works stands for. `ends_at` is when it ends if it is not used."""

    user_id: str
    email: str
    scope: tuple[str, ...]
    issued_at: datetime
    ends_at: datetime


async def refreshable(
    pool: HotPool,
    connection_id: str,
    counter: int,
    client_id: str,
    now: datetime,
    *,
    grace: timedelta,
    idle: timedelta,
) -> Refreshable | None:
    """None for one that `refresh` would refuse; nothing changes."""
    row = await pool.fetchrow(REFRESHABLE, connection_id, counter, client_id, now, now - grace, idle)
    if row is None:
        return None
    return Refreshable(row["user_id"], row["email"], tuple(row["scope"]), row["refreshed_at"], row["ends_at"])


async def held(
    db: AsyncConnection, connection_id: str, counter: int, client_id: str, now: datetime, *, grace: timedelta
) -> tuple[frozenset[str], str] | None:
    """What the user allowed and at which resource, if this token could be refreshed at all."""
    c = connections.c
    forgiven = and_(c.refresh_counter == counter + 1, c.refreshed_at > now - grace)
    found = select(c.scope, c.resource).where(
        c.id == connection_id,
        c.client_id == client_id,
        or_(c.refresh_counter == counter, forgiven),
        c.revoked_at.is_(None),
    )
    row = (await db.execute(found)).one_or_none()
    return None if row is None else (frozenset(row.scope), row.resource)


async def belongs_to(db: AsyncConnection, connection_id: str, client_id: str) -> bool:
    found = select(connections.c.client_id).where(connections.c.id == connection_id)
    return (await db.execute(found)).scalar() == client_id


@dataclass(frozen=True, slots=True)
class Ended:
    """Whose connection it was."""

    user_id: str
    client_id: str


async def end_connection(db: AsyncConnection, connection_id: str, because: str, now: datetime) -> Ended | None:
    """For the one caller that ends it; None for everybody else."""
    open_one = update(connections).where(connections.c.id == connection_id, connections.c.revoked_at.is_(None))
    ended = open_one.values(revoked_at=now, revoked_because=because)
    row = (await db.execute(ended.returning(connections.c.user_id, connections.c.client_id))).one_or_none()
    return None if row is None else Ended(row.user_id, row.client_id)


REUSED = """
UPDATE connections SET revoked_at = :now, revoked_because = 'refresh token reuse'
WHERE id = :id AND client_id = :client_id AND revoked_at IS NULL AND refresh_counter > :counter
  AND NOT (refresh_counter = :counter + 1 AND refreshed_at > :grace_from)
RETURNING user_id
"""


async def end_if_reused(
    db: AsyncConnection, connection_id: str, counter: int, client_id: str, now: datetime, *, grace: timedelta
) -> Ended | None:
    """Ends the connection when this refresh token was superseded and its grace is over."""
    values = {"id": connection_id, "client_id": client_id, "counter": counter, "now": now, "grace_from": now - grace}
    row = (await db.execute(text(REUSED), values)).one_or_none()
    return None if row is None else Ended(row.user_id, client_id)


def authorization_of(
    row: Any, connection_id: str, counter: int, via: str, narrowed: tuple[str, ...] = ()
) -> Authorization:
    """What a row of a connection that was just opened or moved on stands for, whatever proof it was."""
    person = Person(row["user_id"], row["email"], row["name"], row["email_verified"])
    return Authorization(
        subject=row["user_id"],
        client_id=row["client_id"],
        scope=tuple(word for word in narrowed if word in row["scope"]) or tuple(row["scope"]),
        resource=row["resource"],
        via=via,
        connection_id=connection_id,
        refresh_counter=counter,
        sign_in=SignIn(person, row["authenticated_at"], row.get("nonce")),
    )

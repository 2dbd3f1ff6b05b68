"""Making and ending API keys, for the JSON API, the account page and the command line alike."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.api_keys import store
from app.protocol.errors import InvalidRequest, InvalidScope
from app.protocol.scope import ADMIN
from app.resources.served import Resources
from app.tokens.secrets import API_KEY, fingerprint, new_id, new_secret
from app.tokens.store import revoke

LIFE = re.compile(r"([1-9][0-9]{0,3})([dhm])\Z")
UNITS = {"d": "days", "h": "hours", "m": "minutes"}
LONGEST_NAME = 100  # characters
LONGEST_LIFE = timedelta(days=3650)


def duration(text: str) -> timedelta:
    """Raises InvalidRequest."""
    match = LIFE.match(text)
    if match is None:
        raise InvalidRequest("expiresIn must be a duration such as 30d, 12h or 45m")
    return min(timedelta(**{UNITS[match[2]]: int(match[1])}), LONGEST_LIFE)


def checked_name(name: str) -> str:
    """Raises InvalidRequest."""
    shown = "".join(c for c in name if c.isprintable()).strip()
    if not shown or len(shown) > LONGEST_NAME:
        raise InvalidRequest("name must have 1 to {most} visible characters", most=LONGEST_NAME)
    return shown


def checked_scope(words: list[str], resources: Resources, *, is_admin: bool = False) -> tuple[str, ...]:
    """Raises InvalidScope for none, or for a word we do not know: unlike an app, a person can correct it. For who is no
    admin the scope `admin` is such a word."""
    known = [word for word in resources.words if is_admin or word != ADMIN]
    if not words:
        raise InvalidScope("choose at least one scope")
    unknown = [word for word in words if word not in known]
    if unknown:
        raise InvalidScope("unknown scope; the scopes are {scopes}", scopes=", ".join(known))
    return tuple(dict.fromkeys(words))


async def create(
    db: AsyncConnection,
    user_id: str,
    name: str,
    scope: tuple[str, ...],
    expires_at: datetime | None,
    now: datetime,
    *,
    most: int | None = store.MOST,
) -> tuple[store.ApiKey, str] | None:
    """The key's record, and the key itself, which is never seen again; None when its owner has `most` that work."""
    secret = new_secret(API_KEY)
    key = store.ApiKey(new_id("key"), user_id, name, scope, now, expires_at, None, None)
    if not await store.add_key(db, key, fingerprint(secret), most):
        return None
    await audit.record(db, "api_key.created", now, user_id=user_id, key=key.id, name=name, scope=" ".join(scope))
    return key, secret


async def end(db: AsyncConnection, key_id: str, user_id: str | None, now: datetime, *, lifetime: timedelta) -> bool:
    """Ends the key and, within a second, every token that came of it. `lifetime` is that of an access token."""
    owner = await store.end_key(db, key_id, user_id, now)
    if owner is None:
        return False
    await revoke(db, [key_id], now, lifetime=lifetime)
    await audit.record(db, "api_key.revoked", now, user_id=owner, key=key_id)
    return True


async def rotate(
    db: AsyncConnection, key_id: str, user_id: str, grace: timedelta, now: datetime, *, lifetime: timedelta
) -> tuple[store.ApiKey, str] | None:
    """A new key of the same name, scopes and length of life; the old one ends at once, or after `grace`. None as for
    `replace_key`. `lifetime` is that of an access token: with a longer grace none outlives the key that it came from."""
    old = await store.replace_key(db, key_id, user_id, now, now + grace)
    if old is None:
        return None
    if not grace:
        await revoke(db, [key_id], now, lifetime=lifetime)
    expires_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
    made = await create(db, user_id, old.name, old.scope, expires_at, now, most=None)  # it stands for another
    if made is None:
        return None
    ends = (now + grace).isoformat(timespec="seconds")
    await audit.record(db, "api_key.rotated", now, user_id=user_id, key=key_id, by=made[0].id, ends=ends)
    return made


def shown(key: store.ApiKey) -> dict[str, Any]:
    """As JSON, in the seed's spelling; what is not there is left out."""
    document: dict[str, Any] = {"id": key.id, "name": key.name, "scopes": list(key.scope)}
    moments = {"createdAt": key.created_at, "expiresAt": key.expires_at, "lastUsedAt": key.last_used_at}
    return document | {name: _iso(at) for name, at in moments.items() if at is not None}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

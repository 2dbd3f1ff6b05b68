"""SQL of the passkeys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.db.tables import passkeys

MOST = 20  # of one user

OWNED = """
SELECT k.user_id, k.public_key FROM passkeys k JOIN users u ON u.id = k.user_id
WHERE k.credential_id = $1 AND u.disabled_at IS NULL
"""
# §7.2: a count that does not grow tells of a copy; authenticators without a counter say 0 for ever.
USED = """
UPDATE passkeys SET sign_count = :sign_count, backed_up = :backed_up, last_used_at = :now
WHERE credential_id = :credential_id AND (sign_count < :sign_count OR (sign_count = 0 AND :sign_count = 0)) RETURNING id
"""
ADD = """
INSERT INTO passkeys (credential_id, id, user_id, name, public_key, sign_count, transports, backed_up, created_at)
SELECT :credential_id, :id, :user_id, :name, :public_key, :sign_count, :transports, :backed_up, :created_at
WHERE (SELECT count(*) FROM passkeys WHERE user_id = :user_id) < :most
ON CONFLICT (credential_id) DO NOTHING RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of a user's, as its owner sees it."""

    credential_id: bytes
    id: str
    user_id: str
    name: str
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None = None


async def owned(pool: HotPool, credential_id: bytes) -> tuple[str, bytes] | None:
    """Whose it is, and its public key; None when nobody's who may sign in."""
    row = await pool.fetchrow(OWNED, credential_id)
    return None if row is None else (row["user_id"], row["public_key"])


async def use(db: AsyncConnection, credential_id: bytes, sign_count: int, backed_up: bool, now: datetime) -> str | None:
    """The passkey's id, or None when its counter did not grow, or it was removed meanwhile."""
    values = {"credential_id": credential_id, "sign_count": sign_count, "backed_up": backed_up, "now": now}
    used: str | None = (await db.execute(text(USED), values)).scalar()
    return used


async def add(db: AsyncConnection, passkey: Passkey) -> bool:
    """False when it is known already, or the user has MOST."""
    names = [name for name in Passkey.__slots__ if name != "last_used_at"]
    values = {name: getattr(passkey, name) for name in names} | {"transports": list(passkey.transports), "most": MOST}
    return (await db.execute(text(ADD), values)).first() is not None


async def remove(db: AsyncConnection, user_id: str, passkey_id: str) -> str | None:
    """The name of what went, if it was this user's."""
    c = passkeys.c
    gone = delete(passkeys).where(c.id == passkey_id, c.user_id == user_id).returning(c.name)
    name: str | None = (await db.execute(gone)).scalar()
    return name


async def remove_all(db: AsyncConnection, user_id: str) -> int:
    return (await db.execute(delete(passkeys).where(passkeys.c.user_id == user_id))).rowcount


async def passkeys_of(db: AsyncConnection, user_id: str) -> list[Passkey]:
    """In the order in which they were made; MOST at most."""
    found = select(passkeys).where(passkeys.c.user_id == user_id).order_by(passkeys.c.created_at, passkeys.c.id)
    return [Passkey(**{**row._mapping, "transports": tuple(row.transports)}) for row in await db.execute(found)]

"""SQL of the providers that admins add; those of the settings are not stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.tables import providers

c = providers.c


@dataclass(frozen=True, slots=True)
class Stored:
    """A definition as it was written, its secret sealed apart from it."""

    name: str
    definition: Mapping[str, Any]
    sealed: bytes | None
    changed_at: datetime


async def everything(engine: AsyncEngine) -> list[Stored]:
    async with engine.connect() as db:
        return await listed(db)


async def listed(db: AsyncConnection) -> list[Stored]:
    found = select(c.name, c.definition, c.sealed, c.changed_at).order_by(c.name)
    return [Stored(*row) for row in await db.execute(found)]


async def put(
    db: AsyncConnection, name: str, definition: Mapping[str, Any], sealed: bytes | None, now: datetime
) -> None:
    """As it is from now on. `sealed` None leaves the secret as it was."""
    values = {"name": name, "definition": dict(definition), "sealed": sealed, "created_at": now, "changed_at": now}
    added = upsert(providers).values(**values)
    told = {"definition": added.excluded.definition, "changed_at": now}
    if sealed is not None:
        told["sealed"] = added.excluded.sealed
    await db.execute(added.on_conflict_do_update(index_elements=["name"], set_=told))


async def remove(db: AsyncConnection, name: str) -> bool:
    return (await db.execute(delete(providers).where(c.name == name).returning(c.name))).first() is not None


async def reseal(db: AsyncConnection, name: str, before: bytes, after: bytes) -> bool:
    """False when somebody changed it meanwhile."""
    changed = update(providers).where(c.name == name, c.sealed == before).values(sealed=after).returning(c.name)
    return (await db.execute(changed)).first() is not None

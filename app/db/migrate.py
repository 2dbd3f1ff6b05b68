"""Applying migrations, and knowing whether they are applied (Alembic)."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.paths import MIGRATIONS


def config(database_url: str | None = None) -> Config:
    """Alembic's configuration, without an ini file, so that an installed wheel has it too."""
    configured = Config()
    configured.set_main_option("script_location", str(MIGRATIONS))
    configured.attributes["database_url"] = database_url
    return configured


def upgrade(database_url: str) -> None:
    """To the newest revision, under a lock so that replicas take turns. Blocks; runs a loop of its own."""
    command.upgrade(config(database_url), "head")


@cache
def head() -> str:
    """The newest revision that this code knows. Revisions are numbers of four digits, so they sort."""
    newest = ScriptDirectory.from_config(config()).get_current_head()
    assert newest is not None
    return newest


async def revision(db: AsyncConnection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    if (await db.execute(text("SELECT to_regclass('alembic_version')"))).scalar() is None:
        return None
    at: str | None = (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar()
    return at


async def schema(db: AsyncConnection) -> str:
    """What the schema is to this code: `current`; `behind`; `newer`, made by a later release which keeps what this one needs
    (docs/operate.md, "Migrations"); or `too new`, since that release has taken something away."""
    at = await revision(db)
    if at == head():
        return "current"
    if at is None or at < head():
        return "behind"
    needs: str | None = (
        await db.execute(text("SELECT obj_description('alembic_version'::regclass, 'pg_class')"))
    ).scalar()
    return "too new" if needs is not None and needs > head() else "newer"


async def is_current(db: AsyncConnection) -> bool:
    """Whether this code can work with it."""
    return await schema(db) in ("current", "newer")

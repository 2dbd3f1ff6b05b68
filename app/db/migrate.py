"""Applying migrations, and knowing whether they are applied (Alembic)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.paths import MIGRATIONS

if TYPE_CHECKING:  # it weighs 3 MiB, and a server whose database is up to date never needs it
    from alembic.config import Config


def config(database_url: str | None = None) -> Config:
    """Alembic's configuration, without an ini file, so that an installed wheel has it too."""
    from alembic.config import Config

    configured = Config()
    configured.set_main_option("script_location", str(MIGRATIONS))
    configured.attributes["database_url"] = database_url
    return configured


def upgrade(database_url: str) -> None:
    """To the newest revision, under a lock so that replicas take turns. Blocks; runs a loop of its own."""
    from alembic import command

    command.upgrade(config(database_url), "head")


@cache
def head() -> str:
    """The newest revision that this code knows: the files are called after theirs, and each follows the one before it."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


async def revision(db: AsyncConnection) -> str | None:
    """The revision that the database is at; None for an empty one."""
    if (await db.execute(text("SELECT to_regclass('alembic_version')"))).scalar() is None:
        return None
    at: str | None = (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar()
    return at


async def is_current(db: AsyncConnection) -> bool:
    return await revision(db) == head()

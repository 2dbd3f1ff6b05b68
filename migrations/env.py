"""How Alembic reaches the database: asyncpg, one transaction, one migration at a time."""

from __future__ import annotations

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.db.engine import plain_url
from app.db.tables import metadata

ONE_AT_A_TIME = 0x67617465 + 1
database_url = context.config.attributes.get("database_url") or os.environ["GATEHOUSE_DATABASE_URL"]


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, compare_server_default=True)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
        # A migration that waits for a long statement makes all that come after wait behind it: rather none, and once more.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        context.run_migrations()


async def online() -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", connect_args={"dsn": plain_url(database_url)}, poolclass=NullPool
    )
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(online())

"""Migrations from nothing make exactly what `tables.py` says, and what is there can be undone and done again."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.engine import plain_url
from app.db.migrate import config, head, is_current, upgrade
from app.db.tables import metadata


def test_the_newest_revision_is_that_of_the_last_file() -> None:
    """A server looks no further, and one chain leads there."""
    assert ScriptDirectory.from_config(config()).get_heads() == [head()]


def fresh_database(dsn: str, name: str) -> str:
    async def make() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"DROP DATABASE IF EXISTS {name}")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(make())
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def inspect(url: str) -> tuple[bool, list[object], list[str]]:
    engine = create_async_engine("postgresql+asyncpg://", connect_args={"dsn": plain_url(url)})
    async with engine.connect() as db:
        current = await is_current(db)
        found = await db.run_sync(differences)
        unlogged = await db.execute(
            text("SELECT relname FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r' ORDER BY 1")
        )
        names = [row[0] for row in unlogged]
    await engine.dispose()
    return current, found, names


def test_migrations_from_nothing_equal_the_tables(dsn: str) -> None:
    url = fresh_database(dsn, "from_nothing")
    assert asyncio.run(inspect(url))[0] is False
    upgrade(url)
    assert asyncio.run(inspect(url)) == (True, [], ["rate_counters", "trace_steps"])


def test_down_and_up_again(dsn: str) -> None:
    url = fresh_database(dsn, "down_and_up")
    upgrade(url)
    command.downgrade(config(url), "base")
    command.upgrade(config(url), head())
    assert asyncio.run(inspect(url))[:2] == (True, [])


def test_a_second_upgrade_does_nothing(dsn: str) -> None:
    url = fresh_database(dsn, "twice")
    upgrade(url)
    upgrade(url)
    assert asyncio.run(inspect(url))[0] is True


CATALOG = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND conrelid::regclass::text <> 'alembic_version'
UNION ALL
SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
ORDER BY 1, 2, 3
"""


async def catalog(url: str, *, create: bool) -> list[tuple[str, ...]]:
    engine = create_async_engine("postgresql+asyncpg://", connect_args={"dsn": plain_url(url)})
    async with engine.begin() as db:
        if create:
            await db.run_sync(metadata.create_all)
        rows = [tuple(row) for row in await db.execute(text(CATALOG))]
    await engine.dispose()
    return rows


def test_every_constraint_and_index_is_the_one_in_the_tables(dsn: str) -> None:
    """Autogeneration does not compare check constraints; Postgres's own catalog does."""
    migrated, created = fresh_database(dsn, "by_migrations"), fresh_database(dsn, "by_tables")
    upgrade(migrated)
    assert asyncio.run(catalog(migrated, create=False)) == asyncio.run(catalog(created, create=True))


def test_addresses_of_before_are_found_by_what_is_typed_now(dsn: str) -> None:
    """But for one whose mailbox has another account, which keeps its spelling."""
    url = fresh_database(dsn, "addresses")
    command.upgrade(config(url), "0020")

    async def addresses() -> list[str]:
        connection = await asyncpg.connect(plain_url(url))
        add = "INSERT INTO users (id, email, name, is_admin, created_at) VALUES ($1, $2, '', false, now())"
        for name in ("ö@bücher.example", "b@ｂooks.example", "b@books.example"):
            await connection.execute(add, name, name)
        await asyncio.to_thread(command.upgrade, config(url), head())
        found = await connection.fetch('SELECT email FROM users ORDER BY id COLLATE "C"')
        await connection.close()
        return [row["email"] for row in found]

    assert asyncio.run(addresses()) == ["b@books.example", "b@ｂooks.example", "ö@xn--bcher-kva.example"]

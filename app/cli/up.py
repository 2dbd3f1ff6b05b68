"""`gatehouse up`: everything from one command, on an embedded Postgres."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from app.cli.banner import Started, announce
from app.cli.console import Refused
from app.cli.operating import URL_FILE, configured, data_dir, migrate_if_needed, operating, secret_key, setting
from app.cli.running import Host, Port, address, claimed, serve_here
from app.clock import Clock
from app.db import embedded
from app.db.binaries import EmbeddedError
from app.operate import logs
from app.settings.read import Settings
from app.tokens.rotate import ensure_key
from app.users import accounts, store
from app.world import World

DRAIN_SECONDS = 5


def up(
    given_host: Host = None,
    given_port: Port = None,
    folder: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Where the database and the secrets are kept.", envvar="GATEHOUSE_DATA_DIR"),
    ] = None,
) -> None:
    """Start everything: embedded Postgres, migrations, keys, the authorization server and /mcp."""
    logs.configure(setting("LOG_LEVEL") or "info")
    host, port = address(given_host, given_port)
    listener = claimed(host, port)
    port = listener.getsockname()[1]
    place = data_dir(folder)
    try:
        with ExitStack() as stack:
            database, url = _database(stack, place)
            settings = configured(
                database_url=url,
                public_url=setting("PUBLIC_URL") or f"http://localhost:{port}",
                secret_key=secret_key(place),
                host=host,
                port=port,
                auto_migrate=True,
                data_dir=place,
                drain_notice=0,
            )
            _run(settings, listener, place, database)
    except EmbeddedError as fault:
        raise Refused(str(fault)) from None
    finally:
        listener.close()


def _database(stack: ExitStack, place: Path) -> tuple[str, str]:
    """What it is in words, and its URL; the embedded one is stopped when the stack closes."""
    url = setting("DATABASE_URL")
    if url:
        return "GATEHOUSE_DATABASE_URL", url
    stack.enter_context(embedded.hold(place))
    stack.callback(embedded.stop, place)
    database = embedded.start(place)
    return f"embedded Postgres {database.version} in {place}", database.dsn


def _run(settings: Settings, listener: socket.socket, place: Path, database: str) -> None:
    from app.main import create_app  # half a second that the other commands need not wait

    migrate_if_needed(settings, allowed=True)
    code, people = asyncio.run(_prepare(settings))
    (place / URL_FILE).write_text(settings.issuer + "\n")
    link = f"{settings.issuer}/setup?code={code}" if code else None

    def ready() -> None:
        announce(Started(settings, database, link, people, place))

    serve_here(create_app(settings, Clock()), listener, ready, drain_seconds=DRAIN_SECONDS)


async def _prepare(settings: Settings) -> tuple[str | None, int]:
    """The keys exist; and as long as nobody has an account, there is a link to make the first one."""

    async with operating(settings) as world:
        await ensure_key(world.db, world.secrets.signing_keys, world.now(), lifetime=world.token_lifetime)
        return await _setup_code(world)


async def _setup_code(world: World) -> tuple[str | None, int]:
    async with world.db.begin() as db:
        people = len(await store.everybody(db))
        return (None if people else await accounts.new_link(db, "setup", None, world.now())), people

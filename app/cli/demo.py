"""`gatehouse demo`: the whole conversation, register to revoke, against a server of its own, as an annotated transcript."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from app.cli.console import Refused, say
from app.cli.operating import configured, migrate_if_needed, operating
from app.cli.running import claimed, serving
from app.clock import Clock
from app.db import embedded
from app.db.binaries import EmbeddedError
from app.hashing import Hashing
from app.operate import logs
from app.settings.read import Settings
from app.tokens.rotate import ensure_key
from app.users import accounts, passwords

EMAIL, PASSWORD = "ada@example.com", "four words make one"


def demo() -> None:
    """Start a Gatehouse in a temporary place, talk to it as an app and its user would, and print every step."""
    from app.cli.transcript import converse

    logs.configure("error")
    with _database() as url, claimed("127.0.0.1", 0) as listener:
        origin = f"http://localhost:{listener.getsockname()[1]}"
        settings = configured(
            database_url=SecretStr(url), public_url=origin, secret_key=os.urandom(32).hex(), log_level="error"
        )
        migrate_if_needed(settings, allowed=True)
        asyncio.run(_add_ada(settings))
        with _server(settings, listener):
            asyncio.run(converse(origin, EMAIL, PASSWORD))
    say("\nDone; the server and its database are gone again.")


@contextmanager
def _database() -> Iterator[str]:
    place = Path(tempfile.mkdtemp(prefix="gatehouse-demo-"))
    try:
        if os.geteuid() == 0:
            place.chmod(0o711)  # Postgres runs as somebody else then, who has to pass through
        with embedded.hold(place):
            try:
                yield embedded.start(place).dsn
            finally:
                embedded.stop(place)
    except EmbeddedError as fault:
        raise Refused(str(fault)) from None
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _add_ada(settings: Settings) -> None:
    hashed = await passwords.hashed(PASSWORD, Hashing(1))
    async with operating(settings) as world:
        now = world.now()
        await ensure_key(world.db, world.secrets.signing_keys, now, lifetime=world.token_lifetime)
        async with world.db.begin() as db:
            await accounts.create(db, EMAIL, "Ada", hashed, now, is_admin=True)


@contextmanager
def _server(settings: Settings, listener: object) -> Iterator[None]:
    from app.main import create_app  # half a second that the other commands need not wait

    ready = threading.Event()
    server = serving(create_app(settings, Clock()), ready.set, drain_seconds=2)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    if not ready.wait(20):
        raise Refused("the server could not start")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)

"""A server that cannot start, or stops with a fault: whoever runs it is told which, and nothing of it stays open (ASGI lifespan)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr
from starlette.types import Message

from app.db.engine import plain_url
from app.db.migrate import upgrade
from app.main import Gatehouse, create_app
from app.settings.read import Settings
from tests.conftest import House

BROKEN = '[resources.one]\npath = "/mcp"\ntitle = "One"\npython = "tests.servers:broken"\n'
NAME = "falling_over"


def asked(dsn: str, statement: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(plain_url(dsn))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.fixture
def settings(house: House) -> Iterator[Settings]:
    """Of a server with a database of its own, so that its connections can be told from others."""
    asked(house.dsn, f"CREATE DATABASE {NAME}")
    try:
        dsn = urlsplit(house.dsn)._replace(path=f"/{NAME}").geturl()
        upgrade(dsn)
        yield house.settings.model_copy(update={"database_url": SecretStr(dsn)})
    finally:
        asked(house.dsn, f"DROP DATABASE {NAME} WITH (FORCE)")


def lived(app: Gatehouse) -> list[Message]:
    """What it says to whoever runs it, who falls over where it should say that it is time to stop."""
    said: list[Message] = []
    words = iter([{"type": "lifespan.startup"}])

    async def receive() -> Message:
        word = next(words, None)
        if word is None:
            raise OSError("no more words")
        return word

    async def send(message: Message) -> None:
        said.append(message)

    async def live() -> None:
        with suppress(Exception):  # what it was is told by what is sent
            await app({"type": "lifespan"}, receive, send)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    thread.join(60)
    return said


def assert_closed(house: House) -> None:
    deadline = time.monotonic() + 10
    while asked(house.dsn, f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{NAME}'"):
        assert time.monotonic() < deadline, "connections stay open"


def test_a_start_that_fails(house: House, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "gatehouse.toml"
    file.write_text(BROKEN)
    app = create_app(settings.model_copy(update={"resources_file": file}))
    (told,) = lived(app)
    assert told["type"] == "lifespan.startup.failed"
    assert "no shelf to put it on" in told["message"]
    assert_closed(house)


def test_a_stop_that_fails(house: House, settings: Settings) -> None:
    app = create_app(settings)
    started, told = lived(app)
    assert started["type"] == "lifespan.startup.complete"
    assert (told["type"], told["message"]) == ("lifespan.shutdown.failed", "OSError: no more words")
    assert_closed(house)

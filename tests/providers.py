"""Two OpenID providers nobody has to sign up for, each in a process of its own: a second Gatehouse, and npm's oidc-provider."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import asyncpg

from app.db.engine import plain_url
from app.providers import store
from bench.servers import free_port
from tests import commands
from tests.actors import PASSWORD
from tests.conftest import SECRET_KEY, House, database
from tests.referees.node_process import Process

T = TypeVar("T")


@dataclass
class SecondGatehouse:
    """Somebody else's. ada@example.com has an account, with an address that was verified there."""

    url: str
    dsn: str
    environment: dict[str, str]
    client_id: str = ""
    client_secret: str = ""

    def operator(self, *arguments: str, input: str = "") -> str:
        """As its operator."""
        ran = commands.run(arguments, self.environment, input)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def sql(self, statement: str) -> list[Any]:
        async def run() -> list[Any]:
            connection = await asyncpg.connect(plain_url(self.dsn))
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return apart(lambda: asyncio.run(run()))

    def definition(self, house: House) -> dict[str, Any]:
        """As the operator of `house` writes it down, once this server knows it."""
        if not self.client_id:
            redirect = f"{house.url}/callback/second"
            made = json.loads(self.operator("client", "add", "First", "--redirect-uri", redirect, "--json"))
            self.client_id, self.client_secret = made["client_id"], made["client_secret"]
        return {
            "title": "Second Gatehouse",
            "issuer": self.url,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }


def apart(work: Callable[[], T]) -> T:
    """In a thread of its own, where no event loop of a browser runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


@contextmanager
def in_a_database() -> Iterator[str]:
    stack = ExitStack()
    try:
        yield apart(lambda: stack.enter_context(database()))
    finally:
        apart(stack.close)


@contextmanager
def second_gatehouse() -> Iterator[SecondGatehouse]:
    from tests.stories.test_starting import Running

    with in_a_database() as dsn:
        port = free_port()
        url = f"http://localhost:{port}"
        ours = {"DATABASE_URL": dsn, "PUBLIC_URL": url, "PORT": str(port), "SECRET_KEY": SECRET_KEY[::-1]}
        environment: dict[str, Any] = {f"GATEHOUSE_{name}": value for name, value in ours.items()}
        running = Running("serve", **environment)
        running.until('"open"')
        second = SecondGatehouse(url, dsn, os.environ | environment)
        reader = threading.Thread(target=_read, args=(running.process.stdout,), daemon=True)
        reader.start()
        try:
            second.operator("user", "add", "ada@example.com", "--name", "Ada", "--password-stdin", input=PASSWORD)
            second.sql("UPDATE users SET email_verified_at = now()")
            yield second
        finally:
            running.process.terminate()
            running.process.wait(20)
            reader.join(10)


def _read(stream: IO[str]) -> None:
    """What it logs, so that it need not wait for somebody who does."""
    os.set_blocking(stream.fileno(), True)
    with stream:
        for _ in stream:
            pass


@dataclass
class NodeProvider:
    """npm's oidc-provider. Anybody is let in under any name."""

    process: Process
    url: str

    def definition(self) -> dict[str, Any]:
        return {
            "title": "Node",
            "issuer": self.url,
            "client_id": "gatehouse",
            "client_secret": "a secret with signs: %/+",
        }


@contextmanager
def node_provider(home: Path, house: House, name: str = "node") -> Iterator[NodeProvider]:
    process = Process(home, "oidc-provider.mjs", f"{house.url}/callback/{name}")
    try:
        yield NodeProvider(process, process.answer()["issuer"])
    finally:
        process.end()


def configured(house: House, **definitions: dict[str, Any]) -> None:
    """As admins add them: stored, the secret sealed."""

    async def put() -> None:
        async with house.world.db.begin() as db:
            for name, definition in definitions.items():
                plain = {key: value for key, value in definition.items() if key != "client_secret"}
                sealed = house.world.secrets.provider_secrets.seal(definition["client_secret"].encode(), name.encode())
                await store.put(db, name, plain, sealed, house.world.now())

    house.wait_for(put())
    house.world.providers.look_again()


def form_of(text: str) -> tuple[str, dict[str, str]]:
    """Where the only form of a page goes, and its hidden fields."""
    action = re.search(r'action="([^"]+)"', text)
    assert action, text
    return action[1], dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', text))

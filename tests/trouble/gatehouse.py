"""A `gatehouse serve` in a process of its own, and what its clients, its log and its load balancer see of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from app.db.engine import engine
from app.users import accounts
from bench.servers import free_port
from tests.actors import PASSWORD, http
from tests.conftest import ROOT, SECRET_KEY, Clock

PATIENCE = 30.0
LONGEST = 15.0  # seconds that anybody may wait for any answer


class Gatehouse:
    """`url` is where it serves."""

    def __init__(self, dsn: str, log: Path, **settings: object) -> None:
        port = free_port()
        self.url = f"http://localhost:{port}"
        self._log = log
        given = {"DATABASE_URL": dsn, "PUBLIC_URL": self.url, "SECRET_KEY": SECRET_KEY, "REGISTER_PER_MINUTE": 0}
        given |= {name.upper(): value for name, value in settings.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
        with log.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "serve", "--port", str(port)],
                cwd=ROOT,
                env=clean | {f"GATEHOUSE_{name}": str(value) for name, value in given.items()},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def said(self) -> str:
        return self._log.read_text()

    def is_ready(self) -> bool:
        try:
            return http().get(f"{self.url}/readyz", timeout=LONGEST).status_code == 200
        except httpx2.ConnectError:
            assert self.process.poll() is None, self.said()
            return False

    def becomes_ready(self, ready: bool = True, seconds: float = PATIENCE) -> float:
        """How many seconds that took."""
        return until(lambda: self.is_ready() is ready, seconds, f"ready: {ready}")

    def assert_well(self) -> None:
        """Whatever happened: the same process, still alive, and no fault in its log that nobody had thought of."""
        assert self.process.poll() is None, self.said()[-3000:]
        said = self.said()
        assert "unexpected fault" not in said, said[-3000:]
        assert "Traceback" not in said, said[-5000:]

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()


def until(holds: Callable[[], bool], seconds: float, what: str) -> float:
    """How many seconds it took to hold."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
    return time.monotonic() - began


@contextmanager
def serving(dsn: str, log: Path, **settings: object) -> Iterator[Gatehouse]:
    gatehouse = Gatehouse(dsn, log, **settings)
    try:
        gatehouse.becomes_ready()
        yield gatehouse
    finally:
        gatehouse.end()


def add_user(dsn: str, email: str = "ada@example.com") -> str:
    """The id of somebody who signs in with PASSWORD."""
    from argon2 import PasswordHasher

    async def run() -> str:
        db = engine(dsn, 1)
        try:
            async with db.begin() as connection:
                cheap = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
                user = await accounts.create(connection, email, "", cheap, Clock()(), is_admin=False)
            assert user is not None
            return user.id
        finally:
            await db.dispose()

    return asyncio.run(run())


def assert_bearable(answer: httpx2.Response, *fine: int) -> None:
    """What a client may see in trouble: what it asked for, or 503 with a time to come back and an id; nothing of our inside."""
    assert answer.status_code in (*fine, 503), (answer.status_code, answer.text)
    assert answer.elapsed.total_seconds() < LONGEST
    for word in ("Traceback", "asyncpg", "sqlalchemy", "postgres", "UPDATE ", "SELECT "):
        assert word not in answer.text
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["x-request-id"]
        if answer.headers["content-type"].startswith("application/json"):
            said = json.loads(answer.text)
            assert said["error"] == "temporarily_unavailable", said
            assert said["request_id"] == answer.headers["x-request-id"]
        else:
            assert answer.headers["x-request-id"] in answer.text, "a person can tell the operator which page it was"

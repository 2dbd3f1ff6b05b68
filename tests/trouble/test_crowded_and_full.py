"""A database that works but not now: every connection taken, a lock held, a statement too slow, no room on the disk."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import httpx2
import pytest

from tests.actors import App, Browser, http
from tests.trouble.gatehouse import Gatehouse, add_user, assert_bearable, serving, until
from tests.trouble.postgres import Postgres, running

pytestmark = pytest.mark.long

SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON connections FOR EACH ROW EXECUTE FUNCTION slow();
"""
FAST = "DROP TRIGGER IF EXISTS slow ON connections; DROP FUNCTION IF EXISTS slow"


@contextmanager
def slow_refreshes(database: Postgres) -> Iterator[None]:
    database.connected(lambda db: db.execute(SLOW))
    try:
        yield
    finally:
        database.connected(lambda db: db.execute(FAST))


def test_more_requests_than_connections(database: Postgres, tmp_path: Path) -> None:
    """Two connections, twelve apps at once, and each statement slower than Postgres allows: everybody is told, none is queued."""
    with serving(database.dsn, tmp_path / "log", pool_size=2) as gatehouse:
        app, browser = App(gatehouse.url), Browser(gatehouse.url)
        app.register()
        held = [app.connect(browser) for _ in range(12)]
        assert app.call("whoami", held[0]["access_token"]).status_code == 200
        with slow_refreshes(database), ThreadPoolExecutor(12) as people:
            asked = [people.submit(app.refresh, tokens["refresh_token"]) for tokens in held]
            assert app.call("whoami", held[0]["access_token"]).status_code == 200, "needs no connection"
            assert http().get(f"{gatehouse.url}/healthz").status_code == 200
            answers = [answer.result() for answer in asked]
        for answer in answers:
            assert_bearable(answer)
            assert answer.elapsed.total_seconds() < 11
        assert {answer.status_code for answer in answers} == {503}
        said = gatehouse.said()
        assert "QueryCanceledError" in said, "of those who got a connection"
        assert "TimeoutError" in said, "of those who got none"
        assert gatehouse.becomes_ready(seconds=5) < 5
        again = [app.refresh(tokens["refresh_token"]) for tokens in held]
        assert {answer.status_code for answer in again} == {200}
        assert {row[0] for row in database.sql("SELECT refresh_counter FROM connections")} == {1}, "each once"
        gatehouse.assert_well()


def test_no_connection_left_in_postgres(gatehouse: Gatehouse, app: App, browser: Browser, database: Postgres) -> None:
    """Somebody else has them all."""
    tokens = app.connect(browser)

    async def meanwhile(db: asyncpg.Connection) -> list[httpx2.Response]:
        taken = []
        try:
            while True:
                taken.append(await asyncpg.connect(database.dsn))
        except asyncpg.TooManyConnectionsError:
            pass
        with ThreadPoolExecutor(12) as people:
            asked = [people.submit(browser.http.get, f"{gatehouse.url}/account") for _ in range(12)]
            answers = [answer.result() for answer in asked]
        for connection in taken:
            await connection.close()
        return answers

    for answer in database.connected(meanwhile):
        assert_bearable(answer, 200)
    assert gatehouse.becomes_ready(seconds=5) < 5
    assert app.refresh(tokens["refresh_token"]).status_code == 200


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A hundred megabytes, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk here")
    place = Path(tempfile.mkdtemp(prefix="gatehouse-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def test_the_disk_is_full(small_disk: Path, tmp_path: Path) -> None:
    """What reads goes on, what writes is refused, and when there is room again nothing is missing."""
    with running(small_disk) as database, serving(database.dsn, tmp_path / "log") as gatehouse:
        add_user(database.dsn)
        app, browser = App(gatehouse.url), Browser(gatehouse.url)
        app.register()
        tokens = app.connect(browser)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        answers: list[httpx2.Response] = []

        def refused() -> bool:
            answers.append(register(gatehouse))
            assert_bearable(answers[-1], 201)
            return answers[-1].status_code == 503

        until(refused, 60, "full")
        assert app.call("whoami", tokens["access_token"]).status_code == 200
        assert_bearable(app.refresh(tokens["refresh_token"]), 200)
        assert_bearable(browser.http.get(f"{gatehouse.url}/account"), 200)
        ballast.unlink()
        database.recover()
        assert gatehouse.becomes_ready(seconds=5) < 5
        until(lambda: register(gatehouse).status_code == 201, 5, "room again")
        assert app.refresh(tokens["refresh_token"]).status_code == 200
        for answer in answers:
            if answer.status_code == 201:
                assert database.sql("SELECT FROM clients WHERE client_id = $1", answer.json()["client_id"])
        gatehouse.assert_well()


def register(gatehouse: Gatehouse) -> httpx2.Response:
    """With a long name, so that the disk is soon full."""
    document = {"redirect_uris": [f"http://127.0.0.1:3030/{'x' * 900}"], "client_name": "Quill"}
    return http().post(f"{gatehouse.url}/register", json=document)

"""Revocations and signing keys that were missed are learned of when the database is heard again; and a database that only reads."""

from __future__ import annotations

import os
from pathlib import Path

import asyncpg
import pytest

from tests import commands
from tests.actors import App, Browser, http
from tests.conftest import SECRET_KEY
from tests.trouble.cut import line
from tests.trouble.gatehouse import Gatehouse, assert_bearable, serving, until
from tests.trouble.postgres import Postgres

pytestmark = pytest.mark.long

LISTENING = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


def rotated(database: Postgres, gatehouse: Gatehouse) -> None:
    """A new signing key, published by an operator's command."""
    ours = {"DATABASE_URL": database.dsn, "PUBLIC_URL": gatehouse.url, "SECRET_KEY": SECRET_KEY}
    ran = commands.run(("key", "rotate"), os.environ | {f"GATEHOUSE_{name}": value for name, value in ours.items()})
    assert ran.returncode == 0, ran.stderr


def published(gatehouse: Gatehouse) -> int:
    return len(http().get(f"{gatehouse.url}/.well-known/jwks.json").json()["keys"])


def test_what_was_said_while_the_line_was_dead(database: Postgres, tmp_path: Path) -> None:
    """The connection that listens says nothing any more, though it is open: that is noticed, and what was missed is asked for."""
    with (
        line(database.port) as way,
        serving(database.dsn, tmp_path / "log", direct_database_url=database.through(way.port)) as gatehouse,
    ):
        app, browser = App(gatehouse.url), Browser(gatehouse.url)
        app.register()
        tokens = app.connect(browser)
        assert app.call("whoami", tokens["access_token"]).status_code == 200
        keys = published(gatehouse)
        way.hold(True)
        rotated(database, gatehouse)
        (whose,) = database.sql("UPDATE connections SET revoked_at = now(), revoked_because = 'test' RETURNING id")
        database.sql(
            "INSERT INTO revocations (handle, revoked_at, expires_at)"
            " VALUES ($1, now() + interval '1 second', now() + interval '1 day') RETURNING handle",
            whose[0],
        )
        until(lambda: "database away" in gatehouse.said(), 10, "noticed")
        assert published(gatehouse) == keys
        way.hold(False)
        until(lambda: app.call("whoami", tokens["access_token"]).status_code == 401, 5, "revocation known")
        until(lambda: published(gatehouse) > keys, 5, "key known")
        assert "database back" in gatehouse.said()
        gatehouse.assert_well()


def test_every_connection_is_ended(gatehouse: Gatehouse, app: App, browser: Browser, database: Postgres) -> None:
    """By an operator: at once there are others, and the one that listens is among them."""
    tokens = app.connect(browser)
    for _ in range(3):
        ended = database.sql(f"SELECT pg_terminate_backend(pid) FROM ({LISTENING}) found")
        assert ended
        assert_bearable(app.refresh(tokens["refresh_token"]), 200)
        assert_bearable(browser.http.get(f"{gatehouse.url}/account"), 200)
        until(lambda: app.refresh(tokens["refresh_token"]).status_code == 200, 5, "refreshed")
    keys = published(gatehouse)
    until(lambda: bool(listeners(database)), 5, "listening")
    rotated(database, gatehouse)
    until(lambda: published(gatehouse) > keys, 5, "key known")


def listeners(database: Postgres) -> list[tuple[object, ...]]:
    """The newest question of the connection that listens is what has been revoked."""
    return database.sql(
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%FROM revocations%' AND pid <> pg_backend_pid()"
    )


def test_a_database_that_only_reads(gatehouse: Gatehouse, app: App, browser: Browser, database: Postgres) -> None:
    """A standby, or a primary that its provider has closed since its disk is nearly full."""
    tokens = app.connect(browser)

    async def closed(db: asyncpg.Connection, closed: str) -> None:
        await db.execute("SET default_transaction_read_only = off")
        await db.execute(f"ALTER SYSTEM SET default_transaction_read_only = {closed}")
        await db.execute("SELECT pg_reload_conf()")

    database.connected(lambda db: closed(db, "on"))
    try:
        gatehouse.becomes_ready(False, 5)
        for answer in (
            app.refresh(tokens["refresh_token"]),
            http().post(f"{gatehouse.url}/register", json={"redirect_uris": ["http://127.0.0.1:1/cb"]}),
            browser.http.post(f"{gatehouse.url}/api-keys", json={"name": "cron"}),
        ):
            assert_bearable(answer)
            assert answer.status_code == 503
        assert app.call("whoami", tokens["access_token"]).status_code == 200
        assert app.call("list_notes", tokens["access_token"]).status_code == 200, "what reads goes on"
    finally:
        database.connected(lambda db: closed(db, "off"))
    assert gatehouse.becomes_ready(seconds=5) < 5
    assert app.refresh(tokens["refresh_token"]).status_code == 200

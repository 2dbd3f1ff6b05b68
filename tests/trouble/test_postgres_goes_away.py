"""Postgres is killed, restarted and stopped under load: 503 in the meantime, no connection lost, nothing done twice, back at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.actors import App, Browser, http, said
from tests.trouble.gatehouse import Gatehouse, assert_bearable, serving, until
from tests.trouble.load import Caller
from tests.trouble.postgres import Postgres

pytestmark = pytest.mark.long

CALLERS = 4
PAGES = ("/account", "/account/api-keys", "/account/sessions", "/account/security", "/account/usage")
LONGEST_SILENCE = 13.0  # seconds: a turn, a sign of life, a new connection and an answer
SOON = 5.0  # seconds after the database everything is as before


@contextmanager
def load(gatehouse: Gatehouse, browser: Browser) -> Iterator[list[Caller]]:
    """Apps at work before, during and after; at the end none has lost its connection."""
    callers = [Caller(gatehouse.url, browser) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield callers
    finally:
        for caller in callers:
            caller.stop()


def assert_nothing_lost(database: Postgres, callers: list[Caller]) -> None:
    for caller in callers:
        assert caller.refresh(), "a connection was lost"
        assert caller.app.call("whoami", caller.tokens["access_token"]).status_code == 200
        assert len(set(caller.refreshed)) == len(caller.refreshed), "one refresh token was given for two"
    alive = database.sql("SELECT refresh_counter FROM connections WHERE revoked_at IS NULL")
    assert sorted(counter for (counter,) in alive) == sorted(len(caller.refreshed) for caller in callers)
    assert not database.sql("SELECT FROM audit_events WHERE event = 'refresh.reused'")


def killed(database: Postgres) -> None:
    database.kill()


def stopped(database: Postgres) -> None:
    database.stop("immediate")


@pytest.mark.parametrize("goes", [killed, stopped])
def test_no_connection_is_lost_when_it_goes_and_comes_back(
    goes: Callable[[Postgres], None], gatehouse: Gatehouse, database: Postgres, browser: Browser
) -> None:
    with load(gatehouse, browser) as callers:
        until(lambda: all(len(caller.refreshed) > 3 for caller in callers), 30, "under way")
        goes(database)
        gatehouse.becomes_ready(False)
        until(lambda: all(503 in caller.statuses("refresh") for caller in callers), 30, "refused")
        database.start()
        took = gatehouse.becomes_ready()
        counts = [len(caller.refreshed) for caller in callers]
        took += until(lambda: all(len(c.refreshed) > n for c, n in zip(callers, counts, strict=True)), 30, "all again")
        assert took < SOON
    assert all(caller.statuses("call") == {200} for caller in callers), "known tokens are checked without the database"
    assert_nothing_lost(database, callers)


def test_a_database_that_says_nothing_is_not_waited_for(
    gatehouse: Gatehouse, database: Postgres, browser: Browser
) -> None:
    """Whatever asks it, over connections that were open and over new ones."""
    pages = [f"{gatehouse.url}{path}" for path in PAGES] * 3
    with load(gatehouse, browser) as callers, ThreadPoolExecutor(15) as people:
        until(lambda: all(len(caller.refreshed) > 3 for caller in callers), 30, "under way")
        for _ in range(2):  # the first time they are opened, then they lie idle
            assert {answer.status_code for answer in people.map(browser.http.get, pages)} == {200}
        database.freeze()
        gatehouse.becomes_ready(False)
        for answer in people.map(browser.http.get, pages):
            assert_bearable(answer)
            assert answer.elapsed.total_seconds() < LONGEST_SILENCE
        until(lambda: all(503 in caller.statuses("refresh") for caller in callers), 30, "refused")
        database.thaw()
        took = gatehouse.becomes_ready()
        counts = [len(caller.refreshed) for caller in callers]
        took += until(lambda: all(len(c.refreshed) > n for c, n in zip(callers, counts, strict=True)), 30, "all again")
        assert took < SOON
    assert max(caller.longest() for caller in callers) < LONGEST_SILENCE
    assert all(caller.statuses("call") == {200} for caller in callers)
    assert_nothing_lost(database, callers)


def test_after_a_long_silence_known_tokens_are_refused_and_then_taken_again(database: Postgres, tmp_path: Path) -> None:
    """Five seconds here instead of thirty: then nobody knows what has been revoked. What was lost may be asked for again."""
    settings = {"revocation_staleness": 5, "refresh_grace": 2}
    with serving(database.dsn, tmp_path / "log", **settings) as gatehouse:
        app, browser = App(gatehouse.url), Browser(gatehouse.url)
        app.register()
        first = app.connect(browser)
        second = app.refresh(first["refresh_token"]).json()  # suppose that this answer was lost
        key = browser.http.post(f"{gatehouse.url}/api-keys", json={"name": "cron"}).json()["apiKey"]
        database.kill()
        failed = app.call("list_notes", second["access_token"])
        assert_bearable(failed, 200)
        result = said(failed)["result"]
        assert result["isError"] is True
        assert result["content"][0]["text"].endswith(
            f"try again in a moment (request {failed.headers['x-request-id']})"
        )
        until(lambda: app.call("whoami", second["access_token"]).status_code == 503, 15, "stale")
        for answer in (
            app.call("whoami", second["access_token"]),
            app.call("whoami", key),
            app.refresh(second["refresh_token"]),
            http().post(f"{gatehouse.url}/auth/token", json={"apiKey": key}),
            browser.http.get(f"{gatehouse.url}/api-keys"),
            browser.http.get(f"{gatehouse.url}/account", headers={"Accept": "text/html"}),
        ):
            assert_bearable(answer)
            assert answer.status_code == 503
        database.start()
        assert until(lambda: app.call("whoami", second["access_token"]).status_code == 200, 30, "known again") < SOON
        again = app.refresh(first["refresh_token"])
        assert again.status_code == 200, "the grace of two seconds has not passed: the database was away"
        assert again.json()["refresh_token"] == second["refresh_token"]
        assert app.refresh(second["refresh_token"]).status_code == 200
        gatehouse.assert_well()


def test_it_stops_when_it_is_told_though_the_database_is_silent(database: Postgres, tmp_path: Path) -> None:
    with serving(database.dsn, tmp_path / "log") as gatehouse, ThreadPoolExecutor(8) as people:
        list(people.map(lambda _: http().get(f"{gatehouse.url}/account"), range(16)))
        database.freeze()
        began = time.monotonic()
        gatehouse.process.terminate()
        gatehouse.process.wait(30)
        assert time.monotonic() - began < 25
        assert "Traceback" not in gatehouse.said(), gatehouse.said()

"""The database goes away and comes back: 503 and never a guess, verification for a while without it, nothing lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from app.db import embedded
from app.db.engine import plain_url
from app.db.migrate import upgrade
from tests.actors import App, Browser, http
from tests.conftest import House


@pytest.fixture
def alone() -> Iterator[tuple[House, Path]]:
    """A house with a database of its own, which a test may take away."""
    place = Path(tempfile.mkdtemp(prefix="gatehouse-away-"))
    place.chmod(0o711)
    with embedded.hold(place):
        url = embedded.start(place).dsn
        upgrade(url)
        house = House(url).start()
        yield house, place
        house.stop()
        embedded.stop(place)
    shutil.rmtree(place, ignore_errors=True)


def test_refusals_while_it_is_away_and_recovery_after(alone: tuple[House, Path]) -> None:
    house, place = alone
    house.add_user()
    app, browser = App(house.url), Browser(house.url)
    app.register()
    tokens = app.connect(browser)
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    asked, bearer = (
        f"{house.url}/forward-auth?resource={house.url}/mcp",
        {"Authorization": f"Bearer {tokens['access_token']}"},
    )
    assert http().get(asked, headers=bearer).status_code == 200
    embedded.stop(place)

    assert http().get(f"{house.url}/healthz").status_code == 200
    ready = http().get(f"{house.url}/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "failing")
    assert app.call("whoami", tokens["access_token"]).status_code == 200, (
        "a known token is checked without the database"
    )
    refused = app.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    page = browser.open("/login")
    assert page.status == 200, "a page that needs no database is shown"
    assert browser.open("/account").status == 503
    assert "Back in a moment" in browser.open("/account").text
    assert app.call("list_notes", tokens["access_token"]).status_code == 200
    house.clock.ahead += timedelta(seconds=31)
    stale = app.call("whoami", tokens["access_token"])
    assert stale.status_code == 503, "after 30 s of silence nobody knows what is revoked"
    assert http().get(asked, headers=bearer).status_code == 503
    house.clock.ahead = timedelta(0)

    embedded.start(place)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and app.refresh(tokens["refresh_token"]).status_code != 200:
        pass
    renewed = app.refresh(tokens["refresh_token"]).json()
    assert app.call("whoami", renewed["access_token"]).status_code == 200
    assert http().get(f"{house.url}/readyz").status_code == 200


def test_a_table_that_is_locked_is_an_answer_to_try_again(house: House, dsn: str) -> None:
    """Such as by an operator's own statement: 503 after two seconds, and nothing lost when the lock is gone."""
    house.add_user()
    app, browser = App(house.url), Browser(house.url)
    app.register()
    tokens = app.connect(browser)

    async def meanwhile() -> tuple[int, int]:
        connection = await asyncpg.connect(plain_url(dsn))
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE connections, browser_sessions IN ACCESS EXCLUSIVE MODE")
                refused = await asyncio.to_thread(app.refresh, tokens["refresh_token"])
                page = await asyncio.to_thread(browser.open, "/account")
                return refused.status_code, page.status
        finally:
            await connection.close()

    assert asyncio.run(meanwhile()) == (503, 503)
    assert app.refresh(tokens["refresh_token"]).status_code == 200
    assert browser.open("/account").status == 200

"""One replica's clock is wrong, by minutes or days: the database's counts, and nothing is redeemed twice, immortal or refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.actors import App, Browser
from tests.staged.conftest import Database
from tests.staged.people import add_ada, at, seen_at
from tests.staged.replica import Replica

pytestmark = pytest.mark.long

MINUTES, DAYS = 300.0, 3 * 86400.0
WRONG = [MINUTES, -MINUTES, DAYS, -DAYS]
PUBLIC: dict[str, Any] = {"public_url": "http://localhost:8000", "log_level": "warning"}


@pytest.fixture(scope="module")
def right(shared: Database) -> Iterator[Replica]:
    """It starts second: the first, three days ahead, has made the signing keys."""
    first = Replica(shared.dsn, ahead=DAYS, **PUBLIC)
    replica = Replica(shared.dsn, **PUBLIC)
    first.stop()
    asyncio.run(add_ada(shared.dsn))
    yield replica
    replica.stop()


@pytest.fixture(
    params=WRONG, ids=["five minutes ahead", "five minutes behind", "three days ahead", "three days behind"]
)
def wrong(request: pytest.FixtureRequest, shared: Database, right: Replica, tmp_path: Path) -> Iterator[Replica]:
    replica = Replica(shared.dsn, ahead=request.param, log=str(tmp_path / "log"), **PUBLIC)
    yield replica
    replica.stop()


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return read


def heard(*replicas: Replica) -> None:
    for replica in replicas:
        replica.catch_up()


def test_two_replicas_whose_clocks_differ(shared: Database, right: Replica, wrong: Replica, tmp_path: Path) -> None:
    browser, app = Browser(right.url), App(right.url)
    app.register()
    for one, other in ((right, wrong), (wrong, right)):
        code = at(app, one).code(seen_at(browser, one))
        (expires_in,) = shared.sql("SELECT extract(epoch FROM max(expires_at) - clock_timestamp()) FROM codes")[0]
        assert 40 < expires_in <= 61, "a code lives a minute, whoever gave it"
        answer = at(app, other).redeem(code)
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        assert abs(claims(tokens["access_token"])["exp"] - time.time() - 3600) < 20
        for replica in (one, other):
            assert at(app, replica).call("whoami", tokens["access_token"]).status_code == 200

        renewed = at(app, one).refresh(tokens["refresh_token"]).json()
        repeated = at(app, other).refresh(tokens["refresh_token"])
        assert repeated.status_code == 200, "an answer that was lost is given again within the grace"
        assert repeated.json()["refresh_token"] == renewed["refresh_token"]

        app.http.post(f"{one.url}/revoke", data={"client_id": app.client_id, "token": renewed["refresh_token"]})
        heard(one, other)
        for replica in (one, other):
            assert at(app, replica).call("whoami", renewed["access_token"]).status_code == 401, "given back is void"
            assert at(app, replica).refresh(renewed["refresh_token"]).status_code == 400
        replayed = at(app, one).redeem(code)
        assert replayed.json()["error"] == "invalid_grant"
    said = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert [line["seconds"] for line in said if line["event"].startswith("the clock of this computer is wrong")]


def test_a_clock_that_jumps_while_the_server_runs(shared: Database, right: Replica) -> None:
    """Set by hand, or after the computer slept: within a second it is noticed."""
    replica = Replica(shared.dsn, **PUBLIC)
    try:
        browser, app = Browser(replica.url), App(replica.url)
        app.register()
        tokens = app.connect(browser)
        for ahead in (DAYS, -DAYS, 0.0):
            replica.clock.value = ahead
            heard(replica)
            assert app.call("whoami", tokens["access_token"]).status_code == 200
            tokens = app.refresh(tokens["refresh_token"]).json()
            assert abs(claims(tokens["access_token"])["exp"] - time.time() - 3600) < 20
            assert at(app, right).call("whoami", tokens["access_token"]).status_code == 200
            at(app, replica)
    finally:
        replica.stop()

"""The connection to Postgres is cut at every message of a flow, before the server acts on it and after: an answer of 200 was
committed, no answer of 503 did half, and what was lost can be asked for again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.actors import App, Browser, http
from tests.trouble.cut import Cut, Line, line
from tests.trouble.gatehouse import Gatehouse, assert_bearable, serving, until
from tests.trouble.postgres import Postgres

pytestmark = pytest.mark.long

MANY = 60  # no flow has so many messages
EACH = pytest.mark.parametrize("how", list(Cut))
Once = Callable[[], bool]


@pytest.fixture(scope="module")
def way(started: Postgres) -> Iterator[Line]:
    with line(started.port) as opened:
        yield opened


@pytest.fixture(scope="module")
def served(started: Postgres, way: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    """The Gatehouse of these tests has its Postgres at the end of this line."""
    with serving(started.through(way.port), tmp_path_factory.mktemp("cut") / "log", trace_days=0) as gatehouse:
        yield gatehouse


def at_every_message(way: Line, how: Cut, flow: Once) -> None:
    """`flow` runs once, checks all that must hold after it, and says whether the cut came while it ran."""
    for number in range(MANY):
        way.cut_at(number, how)
        if not flow():
            assert number >= 2, "the flow was never cut"
            return
    raise AssertionError("the flow has no end")


def repeated(ask: Callable[[], httpx2.Response], *fine: int) -> httpx2.Response:
    """As an app repeats what was not answered."""
    last: list[httpx2.Response] = []

    def answered() -> bool:
        last.append(ask())
        assert_bearable(last[-1], *fine)
        return last[-1].status_code != 503

    until(answered, 5, "answered")
    return last[-1]


@EACH
def test_a_refresh(how: Cut, app: App, browser: Browser, way: Line, database: Postgres) -> None:
    held = app.connect(browser)
    counter = 0

    def once() -> bool:
        nonlocal held, counter
        answer = app.refresh(held["refresh_token"])
        was_cut = way.is_cut
        assert_bearable(answer, 200)
        again = repeated(lambda: app.refresh(held["refresh_token"]), 200)
        if answer.status_code == 200:
            assert again.json()["refresh_token"] == answer.json()["refresh_token"], "one successor, however often asked"
        counter += 1
        assert database.sql("SELECT refresh_counter, revoked_at FROM connections") == [(counter, None)]
        held = again.json()
        return was_cut

    at_every_message(way, how, once)
    assert not database.sql("SELECT FROM audit_events WHERE event = 'refresh.reused'")


@EACH
def test_a_code(how: Cut, app: App, browser: Browser, way: Line, database: Postgres) -> None:
    app.connect(browser)  # consent is remembered

    def once() -> bool:
        way.cut_at(-1, how)
        code = app.code(browser)
        before = alive(database)
        way.cut_at(number, how)
        answer = app.redeem(code)
        was_cut = way.is_cut
        assert_bearable(answer, 200)
        way.cut_at(-1, how)
        if answer.status_code == 200:
            assert alive(database) == before + 1
            assert app.refresh(answer.json()["refresh_token"]).status_code == 200
        else:
            again = repeated(lambda: app.redeem(code), 200, 400)
            assert alive(database) == before + (again.status_code == 200), "redeemed once, or the app starts again"
        assert repeated(lambda: app.redeem(code), 400).json()["error"] == "invalid_grant"
        assert alive(database) == before, "a second redemption takes back what the first gave"
        return was_cut

    for number in range(MANY):
        if not once():
            assert number >= 2
            return
    raise AssertionError("the flow has no end")


def alive(database: Postgres) -> int:
    (counted,) = database.sql("SELECT count(*) FROM connections WHERE revoked_at IS NULL")
    return int(counted[0])


@EACH
def test_a_consent(how: Cut, app: App, browser: Browser, way: Line, database: Postgres) -> None:
    browser.sign_in()

    def once() -> bool:
        database.sql("DELETE FROM consents")
        page = browser.open(app.authorize_url())
        if "/consent" not in page.url or page.status == 503:
            assert page.status == 503, page.text
            return way.is_cut
        answer = browser.decide(page)
        was_cut = way.is_cut
        way.cut_at(-1, how)
        if answer.left_to is None:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
        code = app.code(browser) if answer.left_to is None else answer.answer["code"]
        assert app.redeem(code).status_code == 200, "a code that was given away is in the database"
        return was_cut

    at_every_message(way, how, once)


@EACH
def test_a_registration(how: Cut, gatehouse: Gatehouse, way: Line, database: Postgres) -> None:
    document = {"redirect_uris": ["http://127.0.0.1:3030/callback"], "client_name": "Quill"}

    def once() -> bool:
        answer = http().post(f"{gatehouse.url}/register", json=document)
        was_cut = way.is_cut
        assert_bearable(answer, 201)
        if answer.status_code == 201:
            known = database.sql("SELECT FROM clients WHERE client_id = $1", answer.json()["client_id"])
            assert len(known) == 1, "what was said to be registered is"
        return was_cut

    at_every_message(way, how, once)


@EACH
def test_an_api_key(how: Cut, gatehouse: Gatehouse, browser: Browser, way: Line, database: Postgres) -> None:
    browser.sign_in()

    def once() -> bool:
        answer = browser.http.post(f"{gatehouse.url}/api-keys", json={"name": "cron"})
        was_cut = way.is_cut
        assert_bearable(answer, 200, 201)
        if answer.status_code != 503:
            way.cut_at(-1, how)
            used = http().post(f"{gatehouse.url}/auth/token", json={"apiKey": answer.json()["apiKey"]})
            assert used.status_code == 200, "a key that was shown is good"
        return was_cut

    at_every_message(way, how, once)


@EACH
def test_a_revocation(how: Cut, app: App, browser: Browser, way: Line, database: Postgres) -> None:
    app.connect(browser)

    def revoked(token: str) -> httpx2.Response:
        return app.http.post(f"{app.url}/revoke", data={"token": token, "client_id": app.client_id})

    def once() -> bool:
        way_number, way._left = way._left, -1  # the flow begins with the revocation
        tokens = app.connect(browser)
        way.cut_at(way_number, how)
        answer = revoked(tokens["refresh_token"])
        was_cut = way.is_cut
        assert_bearable(answer, 200)
        way.cut_at(-1, how)
        if answer.status_code == 503:
            repeated(lambda: revoked(tokens["refresh_token"]), 200)
        assert app.refresh(tokens["refresh_token"]).status_code == 400, "what was said to be revoked is"
        return was_cut

    at_every_message(way, how, once)


def test_a_network_that_swallows_everything(
    app: App, browser: Browser, way: Line, gatehouse: Gatehouse, database: Postgres
) -> None:
    """No packet comes back, not even a refusal: nobody waits longer than the limits, and it goes on when the network does."""
    tokens = app.connect(browser)
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    way.hold(True)
    refused = app.refresh(tokens["refresh_token"])
    assert_bearable(refused)
    assert_bearable(browser.http.get(f"{gatehouse.url}/account"))
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert not gatehouse.is_ready()
    way.hold(False)
    assert gatehouse.becomes_ready(seconds=5) < 5
    assert repeated(lambda: app.refresh(tokens["refresh_token"]), 200).status_code == 200


def test_one_connection_that_is_dead_though_open(browser: Browser, way: Line, database: Postgres) -> None:
    """While it lies idle: another takes its place unseen. At the COMMIT: 503, since nobody can say what became of it."""
    browser.sign_in()

    def made() -> httpx2.Response:
        return browser.http.post(f"{browser.url}/api-keys", json={"name": "cron"})

    assert made().status_code == 201
    way.lose(b"BEGIN")
    answer = made()
    assert way.has_lost
    assert answer.status_code == 201
    assert answer.elapsed.total_seconds() < 5
    way.lose(b"COMMIT")
    answer = made()
    assert way.has_lost
    assert_bearable(answer)
    assert answer.elapsed.total_seconds() < 8
    assert database.sql("SELECT count(*) FROM api_keys") == [(2,)]
    assert made().status_code == 201

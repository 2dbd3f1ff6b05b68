"""One service is the only way in, at a real browser: one consent of ours, then the service's own pages, and the app is in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.actors import App
from tests.browsers.conftest import Sits
from tests.browsers.test_services import at_node, at_second
from tests.conftest import House, emptied
from tests.providers import SecondGatehouse, configured, node_provider, second_gatehouse
from tests.referees.node_process import WHY_NOT


@pytest.fixture(scope="module")
def second() -> Iterator[SecondGatehouse]:
    with second_gatehouse() as running:
        yield running


@pytest.fixture(scope="module")
def brokering(dsn: str) -> Iterator[House]:
    hosts = ("claude.ai", "claude.com", "api.smithery.ai", "localhost", "127.0.0.1")
    house = House(dsn, sign_in="providers", sign_up="open", redirect_hosts=hosts).start()
    yield house
    house.stop()


@pytest.fixture
def house(house: House, brokering: House) -> House:
    emptied(brokering).add_user("owner@example.com")
    return brokering


@pytest.fixture
def app(house: House) -> App:
    app = App(house.url)
    app.redirect_uri = f"{house.url}/callback"
    app.register()
    return app


def answer(app: App, url: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in url.removeprefix(f"{app.redirect_uri}?").split("&"))


def test_one_consent_then_the_service_then_the_app(house: House, app: App, sits: Sits, second: SecondGatehouse) -> None:
    configured(house, second=second.definition(house))
    person = sits()
    person.opens(app.authorize_url(scope="read"))
    expect(person.page.get_by_role("main")).to_contain_text("you sign in with Second Gatehouse next")
    person.decides("allow")
    at_second(person, second)
    code = answer(app, person.is_sent_to(app.redirect_uri))["code"]
    token = app.redeem(code).json()["access_token"]
    assert app.call("whoami", token).json()["result"]["structuredContent"]["scopes"] == ["read"]
    assert house.sql("SELECT email FROM users ORDER BY email") == [("ada@example.com",), ("owner@example.com",)]
    assert house.sql("SELECT count(*) FROM consents") == [(1,)]

    other = App(house.url)  # she is in by now: another app is asked about, and nobody is sent away for it
    other.redirect_uri = app.redirect_uri
    other.register(client_name="Another")
    person.opens(other.authorize_url(scope="read"))
    expect(person.page.get_by_role("main")).to_contain_text("Another")
    person.decides("allow")
    assert "code" in answer(app, person.is_sent_to(app.redirect_uri))


def test_who_says_no_is_sent_nowhere(house: House, app: App, sits: Sits, second: SecondGatehouse) -> None:
    """The second Gatehouse is not among the places that this browser may go to: the watch would say so."""
    configured(house, second=second.definition(house))
    person = sits()
    person.opens(app.authorize_url(scope="read"))
    person.decides("deny")
    assert answer(app, person.is_sent_to(app.redirect_uri))["error"] == "access_denied"


def test_somebody_without_an_app_goes_straight_to_the_service(house: House, sits: Sits, tmp_path: Path) -> None:
    """No password is asked for, and whoever is new gets an account: the service vouches for the address."""
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with node_provider(tmp_path / "home", house) as node:
        configured(house, node=node.definition())
        person = sits()
        person.opens("/account")
        expect(person.page.locator("main [name=password]")).to_have_count(0)
        person.presses(person.page.get_by_role("button", name="Continue with Node"))
        at_node(person, node)
        expect(person.page.get_by_role("heading", name="Connected apps")).to_be_visible()
    assert house.sql("SELECT email FROM users ORDER BY email") == [("ada@example.com",), ("owner@example.com",)]

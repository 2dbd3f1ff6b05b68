"""Other people's OpenID providers as services of ours: npm's oidc-provider, and a second Gatehouse, each in its own process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.actors import App, Browser, Page, http
from tests.conftest import House
from tests.providers import NodeProvider, SecondGatehouse, configured, form_of, node_provider, second_gatehouse
from tests.referees.node_process import WHY_NOT
from tests.upstreams import sent_to


@pytest.fixture(scope="module")
def second() -> Iterator[SecondGatehouse]:
    with second_gatehouse() as running:
        yield running


@pytest.fixture
def node(house: House, tmp_path: Path) -> Iterator[NodeProvider]:
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with node_provider(tmp_path / "home", house) as running:
        configured(house, node=running.definition())
        yield running


@pytest.fixture
def other(house: House, second: SecondGatehouse) -> SecondGatehouse:
    configured(house, second=second.definition(house))
    return second


def at_node(url: str, name: str = "ada") -> str:
    """Signs in and agrees there, as its pages ask; the address that it sends the browser back to."""
    person = http(follow_redirects=True)
    response = person.get(url)
    for fields in ({"login": name, "password": "x"}, {}):
        action, hidden = form_of(response.text)
        response = person.post(action, data=hidden | fields, follow_redirects=False)
        while response.is_redirect:
            location = str(response.url.join(response.headers["location"]))
            if "/callback/" in location:
                return location
            response = person.get(location, follow_redirects=False)
    raise AssertionError(response.text)


def at_second(second: SecondGatehouse, url: str) -> str:
    person = Browser(second.url)
    page = person.open(url)
    if "/login" in page.url:
        page = person.sign_in(page)
    if "/consent" in page.url:
        page = person.decide(page)
    assert page.left_to, page.text
    return page.left_to


def test_signing_in_with_oidc_provider(house: House, browser: Browser, node: NodeProvider) -> None:
    """PKCE demanded, `iss` sent, the address at the userinfo alone, Basic with signs in the secret."""
    house.add_user()
    page = browser.open(at_node(sent_to(browser, "node")))
    assert "Is this account yours, too?" in page.text, page.text
    page = browser.sign_in(browser.open("/login?req=~/account/link"))
    browser.send("/account/link", csrf=page.field("csrf"))
    again = Browser(house.url)
    assert again.open(at_node(sent_to(again, "node"))).url.endswith("/account")
    assert house.sql("SELECT subject, provider FROM identities") == [("ada", "node")]


def connected(house: House, browser: Browser, path: str, url: str) -> Page:
    page = browser.open(path)
    left = browser.send(path, csrf=page.field("csrf"), scope="").left_to
    assert left
    return browser.open(url_of(left, url))


def url_of(left: str, start: str) -> str:
    assert left.startswith(start)
    return at_node(left)


def test_tools_act_at_oidc_provider(house: House, browser: Browser, node: NodeProvider) -> None:
    """Connected, refreshed with rotation, revoked there: its user is asked again. And given back."""
    house.add_user()
    browser.sign_in()
    app = App(house.url)
    app.register()
    token = app.connect(browser)["access_token"]
    connected(house, browser, "/connect/node", node.url)
    house.turn_clock(minutes=56)
    for _ in range(2):
        answer = app.call("service_profile", token, service="node").json()["result"]
        assert answer["structuredContent"]["said"]["name"] == "ada", answer
    assert house.sql("SELECT generation FROM upstream_accounts") == [(1,)]
    page = browser.open("/account/services")
    page = browser.send("/account/services/disconnect", csrf=page.field("csrf"), provider="node")
    assert "and the service was told" in page.text


def test_signing_in_with_a_second_gatehouse(house: House, browser: Browser, other: SecondGatehouse) -> None:
    """Our own answers, to ourselves as a stranger: metadata, id_token, `iss`, the address verified there."""
    house.add_user()
    page = browser.open(at_second(other, sent_to(browser, "second")))
    assert "Is this account yours, too?" in page.text, page.text
    page = browser.sign_in(browser.open("/login?req=~/account/link"))
    browser.send("/account/link", csrf=page.field("csrf"))
    again = Browser(house.url)
    assert again.open(at_second(other, sent_to(again, "second"))).url.endswith("/account")


def test_tools_act_at_a_second_gatehouse(house: House, browser: Browser, other: SecondGatehouse) -> None:
    """Refreshed by our own rotation there; when its user takes the connection back there, ours is marked."""
    house.add_user()
    browser.sign_in()
    app = App(house.url)
    app.register()
    token = app.connect(browser)["access_token"]
    page = browser.open("/connect/second")
    left = browser.send("/connect/second", csrf=page.field("csrf"), scope="").left_to
    browser.open(at_second(other, left or ""))

    def call() -> httpx2.Response:
        return app.call("service_profile", token, service="second")

    assert call().json()["result"]["structuredContent"]["said"]["email"] == "ada@example.com"
    house.turn_clock(minutes=56)
    call()
    assert house.sql("SELECT generation FROM upstream_accounts") == [(1,)]
    connection = other.sql("SELECT id FROM connections WHERE revoked_at IS NULL ORDER BY created_at DESC LIMIT 1")[0][
        "id"
    ]
    other.operator("connection", "revoke", connection)
    assert "has ended" in call().json()["result"]["content"][0]["text"]
    assert app.call("whoami", token).status_code == 200

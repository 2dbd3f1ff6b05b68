"""The whole journey at a real browser: two services that run elsewhere, somebody signs in with one and connects the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.actors import PASSWORD, App
from tests.browsers.conftest import Sits
from tests.browsers.people import ADA, Person, connected
from tests.conftest import House
from tests.providers import NodeProvider, SecondGatehouse, configured, node_provider, second_gatehouse
from tests.referees.node_process import WHY_NOT


@pytest.fixture(scope="module")
def second() -> Iterator[SecondGatehouse]:
    with second_gatehouse() as running:
        yield running


@pytest.fixture
def node(house: House, tmp_path: Path) -> Iterator[NodeProvider]:
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    with node_provider(tmp_path / "home", house) as running:
        yield running


def at_second(person: Person, second: SecondGatehouse) -> None:
    """Signs in there, and allows."""
    person.watch.elsewhere.add(second.url)
    person.is_sent_to(f"{second.url}/login")
    person.signs_in(ADA, PASSWORD)
    if person.page.url.startswith(f"{second.url}/consent"):
        person.decides("allow")


def at_node(person: Person, node: NodeProvider) -> None:
    person.watch.elsewhere |= {node.url, "https://fonts.googleapis.com"}  # which its own pages ask
    person.is_sent_to(node.url)
    page = person.page
    page.locator("[name=login]").fill("ada")
    page.locator("[name=password]").fill("x")
    person.presses(page.locator("button[type=submit]"))
    person.presses(page.locator("button[type=submit]"))


def test_from_an_app_to_a_service_and_back(
    house: House, app: App, sits: Sits, second: SecondGatehouse, node: NodeProvider
) -> None:
    """An app wants in; Ada signs in with a second Gatehouse, proves her old account, links the two, allows the app; its tool
    needs an account at Node, she connects it with the link that the tool gave, and the same call works."""
    configured(house, second=second.definition(house), node=node.definition())
    app.redirect_uri = f"{house.url}/callback"
    app.register()
    person = sits()
    person.opens(app.authorize_url())
    person.presses(person.page.get_by_role("button", name="Continue with Second Gatehouse"))
    at_second(person, second)
    expect(person.page.get_by_role("heading", name="Is this account yours, too?")).to_be_visible()
    person.presses(person.page.get_by_role("link", name="Sign in to it"))
    person.signs_in()
    expect(person.page.get_by_role("heading", name="Link Second Gatehouse")).to_be_visible()
    person.presses(person.page.get_by_role("button", name="Link them"))
    person.decides("allow")
    code = person.is_sent_to(app.redirect_uri).split("code=")[1].split("&")[0]
    token = app.redeem(code).json()["access_token"]
    told = app.call("service_profile", token, service="node").json()["result"]["content"][0]["text"]
    link = re.search(r"http\S+/connect/node", told)
    assert link, told
    person.opens(link[0])
    expect(person.page.get_by_role("heading", name="Connect Node")).to_be_visible()
    person.presses(person.page.get_by_role("button", name="Go to Node"))
    at_node(person, node)
    expect(person.page.get_by_role("status")).to_contain_text("Connected. Go back to your app")
    answer = app.call("service_profile", token, service="node").json()["result"]["structuredContent"]
    assert answer["said"]["name"] == "ada"
    person.sends("/account/services/disconnect")
    expect(person.page.get_by_role("status")).to_contain_text("the service was told")


def test_connected_ended_connected_again_and_given_back(house: House, sits: Sits, second: SecondGatehouse) -> None:
    """Ada connects an account, takes it back over there, is told by her tool and by her page, connects it again, disconnects."""
    configured(house, second=second.definition(house))
    person = sits()
    person.is_signed_in()
    app = connected(house)

    def call() -> dict[str, Any]:
        result: dict[str, Any] = app.call("service_profile", app.tokens["access_token"], service="second").json()[
            "result"
        ]
        return result

    person.opens("/account/services")
    person.presses(person.page.get_by_role("link", name="Connect Second Gatehouse"))
    person.presses(person.page.get_by_role("button", name="Go to Second Gatehouse"))
    at_second(person, second)
    expect(person.page.get_by_role("status")).to_contain_text("Connected")
    assert call()["structuredContent"]["said"]["email"] == ADA

    given = "SELECT id FROM connections WHERE revoked_at IS NULL ORDER BY created_at DESC LIMIT 1"
    second.operator("connection", "revoke", second.sql(given)[0]["id"])
    house.turn_clock(minutes=56)
    assert "has ended and has to be made again" in call()["content"][0]["text"]
    person.opens("/account/services")
    expect(person.page.get_by_role("main")).to_contain_text("ended: connect it again")
    person.presses(person.page.get_by_role("link", name="Connect again"))
    person.presses(person.page.get_by_role("button", name="Go to Second Gatehouse"))
    expect(person.page.get_by_role("status")).to_contain_text("Connected")
    expect(person.page.get_by_role("main")).to_contain_text("works")
    assert call()["structuredContent"]["said"]["email"] == ADA

    last = second.sql(given)
    person.presses(person.page.get_by_role("button", name="Disconnect Second Gatehouse"))
    expect(person.page.get_by_role("status")).to_contain_text("the service was told")
    assert second.sql(given) != last
    assert "You have not connected" in call()["content"][0]["text"]


def test_the_second_time_it_is_one_button(house: House, sits: Sits, second: SecondGatehouse) -> None:
    """Linked once; from then on the service is the way in, from a browser that has never been here."""
    house.add_user()
    configured(house, second=second.definition(house))
    house.sql(
        "INSERT INTO identities (issuer, subject, user_id, created_at, signs_in_since) SELECT :issuer, :subject, id, now(), now()"
        " FROM users",
        issuer=second.url,
        subject=second.sql("SELECT id FROM users")[0]["id"],
    )
    person = sits()
    person.opens("/account")
    person.presses(person.page.get_by_role("button", name="Continue with Second Gatehouse"))
    at_second(person, second)
    expect(person.page.get_by_role("heading", name="Connected apps")).to_be_visible()

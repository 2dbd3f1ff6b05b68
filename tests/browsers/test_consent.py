"""From an app to the sign-in, to the consent, and back to the app, which really hears of it (RFC 6749 §4.1, RFC 8252 §7)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.actors import App
from tests.browsers.conftest import Sits
from tests.browsers.people import Person
from tests.conftest import House
from tests.doors import PAGE, FrontDoor, certificate

CURSOR = "cursor://anysphere.cursor-retrieval/oauth/callback"


def listening(tmp_path: Path, kind: str) -> FrontDoor:
    """An app that waits for its answer: on this computer by http, or on the web by https."""
    host = kind if kind != "https" else "localhost"
    tls = certificate(tmp_path)[0] if kind == "https" else None
    door = FrontDoor(tls, host)
    door.replies["GET", "/callback"] = PAGE
    return door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FrontDoor]:
    made = listening(tmp_path, "127.0.0.1")
    yield made
    made.close()


def callbacks(door: FrontDoor) -> list[dict[str, str]]:
    """What the app was told, each time."""
    queries = [urlsplit(path).query for _, path in door.asked if path.startswith("/callback")]
    return [{name: values[0] for name, values in parse_qs(query).items()} for query in queries]


def app_of(house: House, door: FrontDoor) -> App:
    house.add_user()
    app = App(house.url, redirect_uri=f"{door.origin}/callback")
    app.register()
    return app


@pytest.mark.parametrize("kind", ["127.0.0.1", "localhost", "https"])
def test_allow_brings_the_browser_back_to_the_app(sits: Sits, house: House, tmp_path: Path, kind: str) -> None:
    """No form-action in the policy: Chromium would block this very redirect."""
    door = listening(tmp_path, kind)
    app = app_of(house, door)
    person = sits(ignore_https_errors=True)
    person.watch.elsewhere.add(door.origin)
    person.opens(app.authorize_url()).signs_in().decides("allow")
    person.is_sent_to(app.redirect_uri)
    [answer] = callbacks(door)
    assert (answer["state"], answer["iss"]) == ("xyz", house.url)
    assert app.redeem(answer["code"]).status_code == 200
    door.close()


def test_allow_wakes_an_app_by_its_own_scheme(person: Person, house: House) -> None:
    """What would open Cursor, if it were on this computer."""
    house.add_user()
    app = App(house.url, redirect_uri=CURSOR)
    app.register(client_name="Cursor")
    person.watch.elsewhere.add("cursor://anysphere.cursor-retrieval")
    person.opens(app.authorize_url()).signs_in()
    with person.page.expect_event("requestfailed", lambda request: request.url.startswith("cursor:")) as woken:
        person.button("allow").click()
    assert woken.value.is_navigation_request()
    answer = parse_qs(urlsplit(woken.value.url).query)
    assert answer["state"] == ["xyz"]
    assert app.redeem(answer["code"][0]).status_code == 200


def test_deny_is_told_to_the_app(person: Person, house: House, door: FrontDoor) -> None:
    app = app_of(house, door)
    person.watch.elsewhere.add(door.origin)
    person.opens(app.authorize_url()).signs_in().decides("deny")
    person.is_sent_to(app.redirect_uri)
    [answer] = callbacks(door)
    assert (answer["error"], answer["state"]) == ("access_denied", "xyz")


def test_two_clicks_on_allow_give_one_code(person: Person, house: House, door: FrontDoor) -> None:
    app = app_of(house, door)
    person.watch.elsewhere.add(door.origin)
    person.opens(app.authorize_url()).signs_in()
    with person.page.expect_navigation(url=f"{door.origin}/**"):
        person.button("allow").dblclick()
    [answer] = callbacks(door)
    assert house.sql("SELECT count(*) FROM codes") == [(1,)]
    assert app.redeem(answer["code"]).status_code == 200


def test_the_back_button_leads_to_the_app_again_and_asks_nothing_twice(
    person: Person, house: House, door: FrontDoor
) -> None:
    """No "send the form again?", no page that cannot be used: the answer is remembered, and its code works."""
    app = app_of(house, door)
    person.watch.elsewhere.add(door.origin)
    person.opens(app.authorize_url()).signs_in().decides("allow")
    first = person.is_sent_to(app.redirect_uri)
    person.page.go_back()
    assert person.is_sent_to(app.redirect_uri) != first
    assert app.redeem(callbacks(door)[-1]["code"]).status_code == 200


def test_a_sign_in_that_took_too_long_says_so_and_leads_back_to_the_app(
    person: Person, house: House, door: FrontDoor
) -> None:
    app = app_of(house, door)
    person.watch.elsewhere.add(door.origin)
    person.opens(app.authorize_url())
    house.turn_clock(minutes=31)
    person.signs_in()
    expect(person.page.get_by_role("heading", name="That took too long")).to_be_visible()
    person.presses(person.page.get_by_role("link", name="Return to 127.0.0.1"))
    [answer] = callbacks(door)
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "xyz", house.url)


def test_a_form_of_another_session_says_so_and_leads_to_the_same_question(
    person: Person, house: House, door: FrontDoor
) -> None:
    """The cookie has gone in the meantime: signed out elsewhere, or the browser was tidied up."""
    app = app_of(house, door)
    person.watch.elsewhere.add(door.origin)
    person.opens(app.authorize_url()).signs_in()
    person.page.context.clear_cookies()
    person.decides("allow")
    expect(person.page.get_by_role("heading", name="This form has gone stale")).to_be_visible()
    assert not callbacks(door)
    person.presses(person.page.get_by_role("link", name="Try again"))
    person.signs_in().decides("allow")
    person.is_sent_to(app.redirect_uri)
    assert app.redeem(callbacks(door)[0]["code"]).status_code == 200


def test_a_hostile_name_stays_text(person: Person, app: App) -> None:
    app.register(client_name="<script>document.title='owned'</script>" + "W" * 60)
    person.opens(app.authorize_url(scope="read write api_keys")).signs_in()
    expect(person.page.locator(".name")).to_contain_text("<script>")
    assert "owned" not in person.page.title()

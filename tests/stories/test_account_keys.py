"""API keys on the account page: shown once, with faults beside the fields, rotated with or without a grace, ended (seed 001)."""

from __future__ import annotations

import html
import re

import pytest

from tests.actors import App, Browser, Page
from tests.conftest import House

PATH = "/account/api-keys"


@pytest.fixture
def page(house: House, browser: Browser) -> Page:
    """Ada has just signed in, and is there."""
    house.add_user()
    browser.sign_in()
    return browser.open(PATH)


def make(browser: Browser, page: Page, **changed: str) -> tuple[Page, str]:
    fields = {"name": "cron", "scope": "read", "expires": "30d", "csrf": page.field("csrf")} | changed
    made = browser.send(PATH, **fields)
    found = re.search(r'readonly value="(gh_key_[^"]+)"', made.text)
    assert found, made.text
    return made, found[1]


def key_id(page: Page) -> str:
    found = re.search(rf'href="{PATH}/revoke\?id=(key_\w+)"', page.text)
    assert found, page.text
    return found[1]


def test_a_key_is_shown_once_on_a_page_that_may_be_reloaded(house: House, browser: Browser, page: Page) -> None:
    made, secret = make(browser, page, name="<b>cron</b>")
    assert made.url.endswith(PATH), "the form is answered with a redirect"
    assert "Your new key “&lt;b&gt;cron&lt;/b&gt;”" in made.text
    assert 'data-copies="newkey"' in made.text
    assert "script-src 'self'" in made.headers["content-security-policy"]
    assert secret not in browser.open(PATH).text
    assert house.sql("SELECT count(*) FROM api_keys") == [(1,)]
    assert App(house.url).call("whoami", secret).status_code == 200
    assert App(house.url).call("add_note", secret, text="x").status_code == 403


def test_what_waits_to_be_shown_is_for_this_session_and_for_two_minutes(
    house: House, browser: Browser, page: Page
) -> None:
    csrf = page.field("csrf")
    fields = {"name": "cron", "scope": "read", "expires": "30d", "csrf": csrf}
    sent = browser.http.post(house.url + PATH, data=fields)
    assert (sent.status_code, sent.headers["location"]) == (303, PATH)
    sealed = sent.headers["set-cookie"]
    assert "gh_key_" not in sealed
    assert "HttpOnly" in sealed
    name, value = sealed.split(";")[0].split("=", 1)
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    bob.http.cookies.set(name, value, domain="localhost.local")
    assert "gh_key_" not in bob.open(PATH).text
    house.turn_clock(seconds=121)
    assert "gh_key_" not in browser.open(PATH).text


def test_a_wrong_form_says_what_and_keeps_the_rest(house: House, browser: Browser, page: Page) -> None:
    csrf = page.field("csrf")
    refused = browser.send(PATH, csrf=csrf, name="\u200b", expires="365d")
    assert refused.status == 400
    assert 'id="name-fault">Give it a name of 1 to 100 visible characters.' in refused.text
    assert 'aria-describedby="name-fault name-hint" aria-invalid="true" autofocus' in refused.text
    assert 'id="scope-fault">Choose at least one.' in refused.text
    assert '<option value="365d" selected>' in refused.text
    assert "checked" not in refused.text
    assert "<title>Error: API keys" in refused.text
    refused = browser.send(PATH, csrf=csrf, name='a "laptop"', scope="write", expires="soon")
    assert (refused.status, 'id="life-fault"' in refused.text) == (400, True)
    assert 'value="a "laptop""' in html.unescape(refused.text)
    assert 'value="write" checked' in refused.text
    assert browser.send(PATH, csrf=csrf, name="x", scope="owner", expires="7d").status == 400
    assert house.sql("SELECT count(*) FROM api_keys") == [(0,)]


def test_a_key_that_never_ends_says_so(house: House, browser: Browser, page: Page) -> None:
    made, _ = make(browser, page, expires="never")
    assert "does not end" in made.text
    assert "never used" in made.text


def test_rotating_at_once_ends_the_old_secret_within_a_second(house: House, browser: Browser, page: Page) -> None:
    made, old = make(browser, page, name="laptop", expires="30d")
    app = App(house.url)
    token = app.http.post(f"{house.url}/auth/token", json={"apiKey": old}).json()["token"]
    house.turn_clock(minutes=2)
    rotated = browser.send(PATH + "/rotate", csrf=made.field("csrf"), id=key_id(made), grace="0")
    new = re.findall(r'readonly value="(gh_key_[^"]+)"', rotated.text)[0]
    house.catch_up()
    assert [app.call("whoami", bearer).status_code for bearer in (old, token, new)] == [401, 401, 200]
    [first, second] = house.sql(
        "SELECT name, scope, expires_at - created_at, revoked_at FROM api_keys ORDER BY created_at"
    )
    assert first[:3] == second[:3], "the same name, scopes and length of life"
    assert (first[3] is not None, second[3]) == (True, None)
    again = browser.send(PATH + "/rotate", csrf=made.field("csrf"), id=key_id(made), grace="0")
    assert "Nothing to do" in again.text


def test_rotating_with_a_grace_lets_the_old_secret_live_as_long(house: House, browser: Browser, page: Page) -> None:
    made, old = make(browser, page, expires="never")
    rotated = browser.send(PATH + "/rotate", csrf=made.field("csrf"), id=key_id(made), grace="1d")
    new = re.findall(r'readonly value="(gh_key_[^"]+)"', rotated.text)[0]
    assert '<span class="tag care">replaced</span>' in rotated.text
    assert rotated.text.count('aria-label="Rotate cron"') == 1, "what was replaced is not replaced again"
    again = browser.send(PATH + "/rotate", csrf=made.field("csrf"), id=key_id(made), grace="7d")
    assert "Nothing to do" in again.text
    app = App(house.url)
    house.turn_clock(hours=23)
    token = app.http.post(f"{house.url}/auth/token", json={"apiKey": old}).json()["token"]
    assert {app.call("whoami", bearer).status_code for bearer in (old, token, new)} == {200}
    house.turn_clock(hours=1, minutes=1)
    assert [app.call("whoami", bearer).status_code for bearer in (old, token, new)] == [401, 401, 200]


def test_a_grace_never_makes_a_key_live_longer(house: House, browser: Browser, page: Page) -> None:
    made, _ = make(browser, page, expires="7d")
    house.turn_clock(minutes=1)
    [(before,)] = house.sql("SELECT expires_at FROM api_keys")
    browser.send(PATH + "/rotate", csrf=made.field("csrf"), id=key_id(made), grace="7d")
    assert house.sql("SELECT expires_at FROM api_keys ORDER BY created_at LIMIT 1") == [(before,)]


def test_the_page_before_a_rotation_is_the_owners(house: House, browser: Browser, page: Page) -> None:
    made, _ = make(browser, page, name="laptop")
    link = re.findall(rf'href="({PATH}/rotate[^"]+)"', made.text)[0]
    asked = browser.open(link)
    assert "Rotate “laptop”" in asked.text
    assert asked.text.count('type="radio" name="grace"') == 3
    assert re.findall(r'value="(\w+)" checked', asked.text) == ["1d"], "not what breaks whatever uses the old one"
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    assert "Nothing to do" in bob.open(link).text
    assert "Nothing to do" in browser.open(f"{PATH}/rotate?id=key_0").text
    assert browser.open(f"{PATH}/rotate").status == 400
    house.turn_clock(minutes=16)
    assert "/login" in browser.open(link).url


def test_making_and_rotating_want_a_recent_sign_in(house: House, browser: Browser, page: Page) -> None:
    made, _ = make(browser, page)
    house.turn_clock(minutes=16)
    stale = browser.open(PATH)
    assert "Confirm it is you" in stale.text
    assert "Make the key" not in stale.text
    csrf = stale.field("csrf")
    for path, fields in (("", {"name": "x", "scope": "read", "expires": "7d"}), ("/rotate", {"id": key_id(made)})):
        asked = browser.send(PATH + path, csrf=csrf, **fields)
        assert "/login" in asked.url
    assert house.sql("SELECT count(*) FROM api_keys") == [(1,)]
    link = html.unescape(re.findall(r'href="(/login[^"]+)"', stale.text)[0])
    back = browser.sign_in(browser.open(link))
    assert (back.url.endswith(PATH), "Make the key" in back.text) == (True, True)


def test_a_revoked_key_is_gone_from_the_list(house: House, browser: Browser, page: Page) -> None:
    made, secret = make(browser, page)
    asked = browser.open(f"{PATH}/revoke?id={key_id(made)}")
    assert "Revoke “cron”" in asked.text
    assert f'href="{PATH}">Keep the key<' in asked.text
    said = browser.send(PATH + "/revoke", csrf=asked.field("csrf"), id=asked.field("id"))
    assert "The key has ended." in said.text
    assert "No key yet." in said.text
    house.catch_up()
    assert App(house.url).call("whoami", secret).status_code == 401


def test_the_page_before_a_key_is_revoked_ends_nothing_and_is_the_owners(
    house: House, browser: Browser, page: Page
) -> None:
    made, secret = make(browser, page)
    link = f"{PATH}/revoke?id={key_id(made)}"
    assert f'action="{PATH}/revoke"' not in made.text, "not at one click in the list"
    house.turn_clock(minutes=16)
    assert "Revoke for good" in browser.open(link).text, "who wants to be rid of a key is not held up"
    house.catch_up()
    assert App(house.url).call("whoami", secret).status_code == 200
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    assert "Nothing to do" in bob.open(link).text
    assert "Nothing to do" in browser.open(f"{PATH}/revoke?id=key_0").text
    assert browser.open(f"{PATH}/revoke").status == 400
    assert "/login" in Browser(house.url).open(link).url

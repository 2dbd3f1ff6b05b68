"""Chromium's own WebAuthn, with its virtual authenticator: our script, options and answers as a real browser makes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import CDPSession, Page, expect

from tests.actors import PASSWORD, App
from tests.conftest import House

KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(chromium: Chromium, house: House) -> Iterator[Page]:
    house.add_user()
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    faults: list[str] = []
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda fault: faults.append(f"Refused: {fault}"))
    yield opened
    context.close()
    assert not [fault for fault in faults if "Content Security Policy" in fault or "Refused" in fault]


@pytest.fixture
def device(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable", {"enableUI": False})
    return session


@pytest.fixture
def key(device: CDPSession) -> str:
    """The id of an authenticator that verifies its user and is touched at once."""
    added: str = device.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})["authenticatorId"]
    return added


def sign_in(page: Page) -> None:
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def make(page: Page, house: House, name: str = "my phone") -> None:
    page.goto(f"{house.url}/account/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the passkey").click()


def made(page: Page, house: House, device: CDPSession, key: str) -> None:
    """Signed in by password, a passkey made, signed out; what lies in wait at the e-mail field is not touched yet."""
    page.goto(f"{house.url}/login")
    sign_in(page)
    page.wait_for_url("**/account")
    make(page, house)
    page.wait_for_url("**/account/security#passkeys")
    expect(page.get_by_role("heading", name="my phone")).to_be_visible()
    page.context.clear_cookies()
    touched(device, key, False)


def touched(device: CDPSession, key: str, at_once: bool) -> None:
    device.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": key, "enabled": at_once})


def press(page: Page, device: CDPSession, key: str) -> None:
    """The button, while the other request waits at the e-mail field."""
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    touched(device, key, True)
    page.get_by_role("button", name="Sign in with a passkey").click()


def test_made_and_used_with_nothing_typed(page: Page, house: House, device: CDPSession, key: str) -> None:
    """And back to the app that waits."""
    made(page, house, device, key)
    app = App(house.url, f"{house.url}/callback")
    app.register()
    page.goto(app.authorize_url())
    press(page, device, key)
    page.wait_for_url("**/consent?*")
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/callback?code=gh_code_*")
    assert house.sql("SELECT sign_count > 0, name FROM passkeys") == [(True, "my phone")]


def test_with_the_e_mail_typed(page: Page, house: House, device: CDPSession, key: str) -> None:
    made(page, house, device, key)
    page.goto(f"{house.url}/login")
    page.get_by_label("E-mail").fill("ada@example.com")
    press(page, device, key)
    page.wait_for_url("**/account")


def test_chosen_in_the_list_at_the_e_mail_field(page: Page, house: House, device: CDPSession, key: str) -> None:
    """Conditional mediation: the request waits on the page; this key is chosen and touched at once."""
    made(page, house, device, key)
    touched(device, key, True)
    page.goto(f"{house.url}/login")
    page.wait_for_url("**/account")
    assert house.sql("SELECT method FROM browser_sessions ORDER BY created_at DESC LIMIT 1") == [("passkey",)]


def test_the_same_key_is_not_made_twice(page: Page, house: House, device: CDPSession, key: str) -> None:
    """excludeCredentials."""
    page.goto(f"{house.url}/login")
    sign_in(page)
    page.wait_for_url("**/account")
    make(page, house)
    page.wait_for_url("**/account/security#passkeys")
    make(page, house, "again")
    expect(page.get_by_role("alert")).to_contain_text("has a passkey for your account already")
    expect(page.get_by_label("Name")).to_have_value("again")


def test_a_key_that_does_not_verify_its_user_is_of_no_use(page: Page, house: House, device: CDPSession) -> None:
    device.send("WebAuthn.addVirtualAuthenticator", {"options": KEY | {"isUserVerified": False}})
    page.goto(f"{house.url}/login")
    sign_in(page)
    page.wait_for_url("**/account")
    make(page, house)
    expect(page.get_by_role("alert")).to_contain_text("No passkey was made")
    assert house.sql("SELECT count(*) FROM passkeys") == [(0,)]


def test_confirming_that_it_is_still_you(page: Page, house: House, device: CDPSession, key: str) -> None:
    """Step-up by passkey, and back at the page that asked."""
    page.goto(f"{house.url}/login")
    sign_in(page)
    page.wait_for_url("**/account")
    make(page, house)
    page.wait_for_url("**/account/security#passkeys")
    house.turn_clock(minutes=20)
    page.goto(f"{house.url}/account/security/totp")
    expect(page.get_by_role("heading", name="Confirm it is you")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_have_value("ada@example.com")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/account/security/totp")
    expect(page.get_by_role("heading", name="Set up codes")).to_be_visible()


def test_without_a_script_the_password_is_there(chromium: Chromium, house: House) -> None:
    house.add_user()
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{house.url}/login")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    sign_in(page)
    page.wait_for_url("**/account")
    page.goto(f"{house.url}/account/security/passkeys")
    expect(page.get_by_text("Passkeys need a browser that knows them")).to_be_visible()
    context.close()

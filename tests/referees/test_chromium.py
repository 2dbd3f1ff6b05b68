"""A real browser goes through the pages: Chromium, from the system's packages, with and without keyboard and dark mode."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect, sync_playwright

from tests.actors import PASSWORD, App, Device
from tests.conftest import House

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update --disable-sync"
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here; apt-get install chromium runs these")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS.split())
        yield started
        started.close()


@pytest.fixture
def page(chromium: Chromium, house: House) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    faults: list[str] = []
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    policy = [fault for fault in faults if "Content Security Policy" in fault or "Refused" in fault]
    assert not policy, "a page breaks its own Content-Security-Policy"


def sign_in(page: Page) -> None:
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.parametrize("redirect_uri", ["http://127.0.0.1:{port}/callback", "http://localhost:{port}/callback"])
def test_allow_brings_the_browser_back_to_the_app(app: App, page: Page, house: House, redirect_uri: str) -> None:
    """No form-action in the policy: Chromium would block this very redirect. The house itself stands in for the app."""
    app.redirect_uri = redirect_uri.format(port=house.url.rsplit(":", 1)[1])
    app.register()
    page.goto(app.authorize_url())
    sign_in(page)
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/callback?code=gh_code_*")
    code = page.url.split("code=")[1].split("&")[0]
    assert app.redeem(code).status_code == 200


def test_deny_too(app: App, page: Page, house: House) -> None:
    app.redirect_uri = f"{house.url}/callback"
    app.register()
    page.goto(app.authorize_url())
    sign_in(page)
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url("**/callback?error=access_denied*")


def test_the_keyboard_is_enough(app: App, page: Page, house: House) -> None:
    app.redirect_uri = f"{house.url}/callback"
    app.register()
    page.goto(app.authorize_url())
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.keyboard.type("ada@example.com")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/consent?*")
    page.get_by_role("button", name="Allow").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/callback?code=*")


def test_a_hostile_name_stays_text_and_nothing_overflows_a_phone(app: App, page: Page) -> None:
    app.register(client_name="<script>document.title='owned'</script>" + "W" * 60)
    page.goto(app.authorize_url(scope="read write api_keys"))
    sign_in(page)
    page.wait_for_url("**/consent?*")
    assert "owned" not in page.title()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_device_is_connected_from_a_phone(app: App, page: Page) -> None:
    """The address of the QR code, sign-in, the code compared, Allow; the keyboard is enough."""
    device = Device.of(app)
    page.goto(device.complete)
    sign_in(page)
    expect(page.get_by_label("Code")).to_be_focused()
    expect(page.get_by_label("Code")).to_have_value(device.user_code)
    page.get_by_label("Code").fill("bbbb bbbb")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("No device waits")
    page.get_by_label("Code").fill(device.user_code.lower())
    page.keyboard.press("Enter")
    expect(page.get_by_text(device.user_code)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", name="Your device is connected")).to_be_visible()
    assert device.poll().status_code == 200


def test_a_key_is_made_and_revoked_on_the_account_page(app: App, page: Page, house: House) -> None:
    page.goto(f"{house.url}/login")
    sign_in(page)
    page.get_by_label("Name").fill("cron")
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("input[readonly]").input_value()
    assert app.call("whoami", key).status_code == 200
    page.get_by_role("button", name="Revoke cron").click()
    page.wait_for_url("**/account")
    house.catch_up()
    assert app.call("whoami", key).status_code == 401

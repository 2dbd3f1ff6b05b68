"""What people read before they allow an app, and where nothing can be allowed: how long it lasts, whose address it is, what to do next."""

from __future__ import annotations

import re

import pytest

from tests.actors import App, Browser, Device
from tests.admins import AdminBrowser
from tests.conftest import House

WEB = "https://notes.example/callback"


def test_how_long_it_lasts_and_what_is_remembered(house: House, app: App, browser: Browser) -> None:
    local = browser.sign_in(browser.open(app.authorize_url())).text
    assert "It stays connected for up to 90 days, then it has to come back." in local
    assert "Your answer is remembered for 30 days." in local
    far = App(house.url, redirect_uri=WEB)
    far.register(client_name="Notes")
    page = browser.open(far.authorize_url()).text
    assert "It stays connected for up to 90 days" in page
    assert "Your answer is remembered, so it need not ask again." in page
    shown = Device.of(App(house.url)).entered(browser).text
    assert "It stays connected for up to 90 days" in shown
    assert "remembered" not in shown, "of a device nothing is"


def test_an_app_with_a_lifetime_of_its_own(house: House, app: App) -> None:
    ada = AdminBrowser(house)
    house.sql("UPDATE users SET is_admin = true")
    path = f"/admin/clients/{app.client_id}"
    ada.press(path, f"{path}/lifetimes", refresh_absolute="7200")
    assert "It stays connected for up to 2 hours" in ada.open(app.authorize_url()).text


def test_when_a_connection_ends_stands_on_the_account_page(app: App, browser: Browser, house: House) -> None:
    app.connect(browser)
    [(ends,)] = house.sql("SELECT to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM connections")
    assert f'<dt>Ends by</dt><dd><time datetime="{ends}">' in browser.open("/account").text


def test_an_address_that_every_program_has_is_not_to_be_gone_by(house: House, app: App, browser: Browser) -> None:
    local = browser.sign_in(browser.open(app.authorize_url())).text
    assert "every program on this computer has the address below" in local
    assert "this computer (127.0.0.1)" in local
    assert "Go by the address" not in local
    far = App(house.url, redirect_uri=WEB)
    far.register(client_name="Notes")
    page = browser.open(far.authorize_url()).text
    assert "Go by the address below" in page
    assert '<dd class="place"><bdi>notes.example</bdi>' in page


@pytest.mark.parametrize("asked", ["https://evil.example/", None])
def test_who_is_brought_with_a_wrong_redirect_is_told_what_to_do(
    house: House, browser: Browser, asked: str | None
) -> None:
    app = App(house.url)
    app.register(redirect_uris=["https://a.example/", "https://b.example/"])
    page = browser.open(app.authorize_url(redirect_uri=asked))
    assert (page.status, page.left_to) == (400, None)
    assert "Nothing was allowed, and nothing was sent." in page.text
    assert re.search(r"Reference: <code>\w+</code> · <code>invalid_request</code>", page.text)


def test_an_old_link_says_who_gives_a_new_one(house: House, browser: Browser) -> None:
    house.add_user()
    page = browser.open("/password?code=gone")
    assert page.status == 410
    assert "Ask whoever gave it to you for a new one." in page.text
    assert 'class="button" href="/login"' in page.text

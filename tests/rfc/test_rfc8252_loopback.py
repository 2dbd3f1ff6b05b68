"""RFC 8252 §7.3: on loopback the port may change from one run of an app to the next."""

from __future__ import annotations

import pytest

from tests.actors import App, Browser
from tests.conftest import House


@pytest.mark.parametrize(
    ("registered", "presented"),
    [
        ("http://127.0.0.1:3030/callback", "http://127.0.0.1:40001/callback"),
        ("http://localhost/callback", "http://localhost:51234/callback"),
        ("http://[::1]:1/callback", "http://[::1]:65535/callback"),
        ("http://127.0.0.1/", "http://127.0.0.1:33418"),
        ("http://localhost:3335/oauth/callback?x=1", "http://localhost:3336/oauth/callback?x=1"),
    ],
)
def test_any_port_will_do(house: House, browser: Browser, registered: str, presented: str) -> None:
    house.add_user()
    app = App(house.url, redirect_uri=registered)
    app.register()
    app.redirect_uri = presented
    code = app.code(browser)
    assert app.redeem(code, redirect_uri=registered).json()["error"] == ("invalid_grant"), (
        "the code is bound to the URI of its request"
    )
    assert app.redeem(code).status_code == 200


def test_consent_names_the_host_and_warns_of_local_programs(app: App, browser: Browser) -> None:
    """§8.6, MCP "Localhost Redirect URI Risks"."""
    page = browser.sign_in(browser.open(app.authorize_url()))
    assert "127.0.0.1" in page.text
    assert "a program on this computer" in page.text


def test_consent_for_a_local_program_is_asked_again_after_a_month(app: App, browser: Browser, house: House) -> None:
    """§8.6: any program here can pose as it."""
    app.connect(browser)
    house.turn_clock(days=31)
    page = browser.sign_in(browser.open(app.authorize_url()))
    assert "/consent" in page.url


def test_what_was_allowed_a_month_ago_does_not_come_back_with_less(app: App, browser: Browser, house: House) -> None:
    """§8.6: the answer that no longer counts is not added to the one that is given now."""
    app.connect(browser, scope="read write api_keys")
    house.turn_clock(days=31)
    assert app.connect(browser, scope="read")["scope"] == "read"
    assert browser.open(app.authorize_url(scope="read")).left_to
    assert "/consent" in browser.open(app.authorize_url(scope="write")).url


def test_a_small_answer_does_not_prolong_a_wide_one(app: App, browser: Browser, house: House) -> None:
    """§8.6: the month of each scope begins when it was allowed, at the latest."""
    app.connect(browser, scope="write")
    house.turn_clock(days=20)
    assert app.connect(browser, scope="read", prompt="consent")["scope"] == "read"
    assert browser.open(app.authorize_url(scope="read write")).left_to
    house.turn_clock(days=11)
    browser.sign_in()
    assert "/consent" in browser.open(app.authorize_url(scope="write")).url
    app.connect(browser, scope="read write")
    house.turn_clock(days=20)
    browser.sign_in()
    assert browser.open(app.authorize_url(scope="write")).left_to, "who allows all of it anew has a month for it"

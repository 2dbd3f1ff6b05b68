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

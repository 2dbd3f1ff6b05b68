"""RFC 6749 §4.1.1 and §4.1.2.1: the authorization request, and who is told of its faults."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.actors import CALLBACK, App, Browser
from tests.conftest import House

WEB = "https://app.example/callback"


def test_an_unknown_client_is_a_page_never_a_redirect(app: App, browser: Browser) -> None:
    """§4.1.2.1."""
    page = browser.open(app.authorize_url(client_id="client_unknown", redirect_uri="https://evil.example/"))
    assert page.status == 400
    assert page.left_to is None
    assert "not registered" in page.text


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:3030/callback/",
        "http://127.0.0.1:3030/callback/../x",
        "http://127.0.0.1:3030/callback%2f",
        "http://127.0.0.1:3030/callback?x=1",
        "http://127.0.0.1:3030/callback#f",
        "HTTP://127.0.0.1:3030/callback",
        "https://127.0.0.1:3030/callback",
        "http://user@127.0.0.1:3030/callback",
        "http://127.0.0.1:3030@evil.example/callback",
        "http://127.0.0.1:3030\\@evil.example/callback",
        "http://127.0.0.1.evil.example:3030/callback",
        "http://localhost:3030/callback",
        "http://[::1]:3030/callback",
        "http://127.0.0.2:3030/callback",
        "http://2130706433:3030/callback",
        "http://127.1:3030/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:/callback",
        "//evil.example/callback",
        "/callback",
        "javascript:alert(1)",
        "http://127.0.0.1:3030/callback\t",
        "http://127.0.0.1:3030/callback\r\nX: y",
        "http://127.0.0.1:3030/callback\0",
        "http://①②⑦.0.0.1:3030/callback",
        "http://127。0。0。1:3030/callback",
        "",
    ],
)
def test_a_redirect_uri_that_is_not_registered_is_a_page(app: App, browser: Browser, uri: str) -> None:
    """OAuth 2.1 §4.1.1: simple string comparison, but for the port of loopback; "" falls back to the one registered."""
    page = browser.open(app.authorize_url(redirect_uri=uri))
    if uri == "":
        assert "/login" in page.url
    else:
        assert (page.status, page.left_to) == (400, None)


def test_a_redirect_uri_is_needed_when_several_are_registered(app: App, browser: Browser) -> None:
    """OAuth 2.1 §2.3.2."""
    app.register(redirect_uris=[CALLBACK, WEB])
    page = browser.open(app.authorize_url(redirect_uri=None))
    assert (page.status, page.left_to) == (400, None)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"resource": "https://other.example/mcp"}, "invalid_target"),
        ({"request": "e30."}, "request_not_supported"),
        ({"request_uri": "https://x.example/r"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"state": "x" * 5000}, "invalid_request"),
    ],
)
def test_the_client_is_told_of_other_faults(
    app: App, browser: Browser, change: dict[str, str | None], error: str
) -> None:
    """§4.1.2.1, with `state` and `iss` (RFC 9207 §2) in error answers too."""
    answer = browser.open(app.authorize_url(**change)).answer
    assert answer["error"] == error
    assert answer["iss"] == app.url
    assert answer["state"] == change.get("state", "xyz")
    assert "code" not in answer


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "code_challenge", "unheard_of"])
def test_a_parameter_that_comes_twice_is_refused(app: App, browser: Browser, name: str) -> None:
    """§3.1."""
    url = app.authorize_url(unheard_of="1") + "&" + urlencode({name: "again"})
    page = browser.open(url)
    if page.left_to is None:
        assert page.status == 400
    else:
        assert page.answer["error"] == "invalid_request"


def test_our_origin_lends_its_name_to_no_phisher(app: App, browser: Browser) -> None:
    """RFC 9700 §4.11.2: no redirect to a web address that anybody may have registered, before somebody signed in."""
    app.redirect_uri = WEB
    app.register()
    page = browser.open(app.authorize_url(response_type="token"))
    assert (page.status, page.left_to) == (400, None)
    assert "app.example" in page.text
    browser.sign_in()
    assert browser.open(app.authorize_url(response_type="token")).answer["error"] == "unsupported_response_type"


def test_get_has_no_side_effect(app: App, house: House, browser: Browser) -> None:
    """Clients fetch it twice, once without a browser."""
    for _ in range(2):
        assert "/login" in browser.open(app.authorize_url()).url
    assert house.sql("SELECT count(*) FROM codes") == [(0,)]
    assert house.sql("SELECT count(*) FROM browser_sessions") == [(0,)]


def test_scopes_default_and_unknown_ones_are_dropped(app: App, browser: Browser) -> None:
    """§3.3, and what real clients send."""
    assert app.connect(browser)["scope"] == "read write"
    assert app.connect(browser, scope="read offline_access claudeai", prompt="consent")["scope"] == "read"
    assert app.connect(browser, scope="profile email")["scope"] == "read write"


def test_prompt_login_asks_for_the_password_again(app: App, browser: Browser) -> None:
    """OIDC Core §3.1.2.1."""
    app.connect(browser)
    assert "code" in browser.open(app.authorize_url()).answer
    page = browser.open(app.authorize_url(prompt="login"))
    assert "/login" in page.url
    assert "code" in browser.sign_in(page).answer
    assert browser.open(app.authorize_url(prompt="none")).answer["code"]


def test_max_age_asks_for_the_password_when_the_session_is_older(app: App, browser: Browser, house: House) -> None:
    app.connect(browser)
    house.turn_clock(seconds=100)
    assert "code" in browser.open(app.authorize_url(max_age="1000")).answer
    assert "/login" in browser.open(app.authorize_url(max_age="50")).url


def test_login_hint_fills_in_the_email(app: App, browser: Browser) -> None:
    assert browser.open(app.authorize_url(login_hint="ada@example.com")).field("csrf")
    assert 'value="ada@example.com"' in browser.open(app.authorize_url(login_hint="ada@example.com")).text


def test_a_sign_in_left_lying_ends(app: App, browser: Browser, house: House) -> None:
    page = browser.open(app.authorize_url())
    house.turn_clock(minutes=31)
    page = browser.sign_in(page)
    assert page.status == 400
    assert "start again from your app" in page.text


@pytest.mark.parametrize("asks", [True, False])
def test_a_redirect_uri_that_is_not_allowed_any_more_is_a_page(
    house: House, app: App, browser: Browser, asks: bool
) -> None:
    """§4.1.2.1: of an app that was registered before it was known what the scheme opens."""
    uri = "microsoft-edge:https://evil.example/"
    house.sql("UPDATE clients SET redirect_uris = ARRAY[:uri]", uri=uri)
    browser.sign_in()
    page = browser.open(app.authorize_url(redirect_uri=uri if asks else None))
    assert (page.status, page.left_to) == (400, None)
    assert "does not accept" in page.text

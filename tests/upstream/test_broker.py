"""One service is the only way in: an app is allowed first, then its user meets the service; and whose redirects count at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.actors import App, Browser, http
from tests.conftest import House, emptied
from tests.upstreams import Upstream, answered, house_with


@pytest.fixture(scope="module")
def brokering(dsn: str, service: Upstream) -> Iterator[House]:
    house = house_with(
        dsn,
        {"acme": service.definition()},
        sign_up="open",
        sign_in="providers",
        redirect_hosts=("claude.ai", "127.0.0.1", "cursor", "*.apps.example", "com.example.app://", "quill://"),
    ).start()
    yield house
    house.stop()


@pytest.fixture
def house(house: House, brokering: House, acme: Upstream) -> House:
    brokering.world.providers._published.clear()
    brokering.world.outside.faults._seen.clear()
    acme.clock = lambda: brokering.clock().timestamp()
    emptied(brokering).add_user("owner@example.com")
    return brokering


@pytest.fixture
def app(house: House) -> App:
    app = App(house.url)
    app.register()
    return app


def test_one_consent_and_one_page_elsewhere(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    """Ours, before anybody is sent anywhere; after it the page of the service, and the app has its code."""
    page = browser.open(app.authorize_url(scope="read"))
    assert "/consent" in page.url
    assert "you sign in with Acme next" in page.text
    assert acme.asked == [] or all(path.startswith(("/.well-known", "/keys")) for path, _ in acme.asked)
    left = browser.decide(page).left_to
    assert left
    assert left.startswith(f"{acme.url}/authorize?")
    answer = browser.open(answered(left)).answer
    assert answer["state"] == "xyz"
    assert answer["iss"] == house.url
    assert app.redeem(answer["code"]).status_code == 200
    [(email, scope)] = house.sql("SELECT u.email, c.scope FROM consents c JOIN users u ON u.id = c.user_id")
    assert (email, scope) == ("ada@example.com", ["read"])
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'consent.given'") == [(1,)]


def test_no_one_is_sent_away_without_consent(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    """MCP "Confused Deputy": said no, or asked for by GET, nobody meets the service; the app hears it."""
    page = browser.open(app.authorize_url())
    acme.asked.clear()
    assert browser.decide(page, "deny").answer["error"] == "access_denied"
    assert [path for path, _ in acme.asked if path == "/authorize"] == []
    assert house.sql("SELECT count(*) FROM upstream_flows") == [(0,)]


def test_each_app_is_asked_about(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    """Another app of the same name, in a browser whose user is known to the service: asked again."""
    page = browser.open(app.authorize_url())
    browser.open(answered(browser.decide(page).left_to or ""))
    evil = App(house.url, redirect_uri="https://evil.apps.example/cb")
    evil.register()
    assert "/consent" in Browser(house.url).open(evil.authorize_url()).url
    assert "/consent" in browser.open(evil.authorize_url()).url


def test_what_was_allowed_counts_once_and_here(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    """The allowed request, taken to another browser, or after the sign-in that it was for."""
    page = browser.open(app.authorize_url())
    left = browser.decide(page).left_to or ""
    other = Browser(house.url)
    assert "This began in another browser" in other.open(answered(left)).text
    continued = browser.http.get(answered(left), follow_redirects=False).headers["location"]
    assert "/authorize/continue" in continued
    assert "/consent" in other.open(continued).url
    assert browser.open(continued).answer["code"]
    acme.person |= {"sub": "2", "email": "eve@example.com"}
    account = browser.open("/account")
    browser.send("/logout", csrf=account.field("csrf"))
    page = browser.open("/login")
    page = browser.send("/login/provider", csrf=page.field("csrf"), req="", provider="acme")
    assert "eve@example.com" in browser.open(answered(page.left_to or "")).text
    assert "/consent" in browser.open(continued).url


def test_prompt_consent_asks_once(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    for prompt in ("consent", "login", "login consent"):
        page = browser.open(app.authorize_url(prompt=prompt))
        assert "/consent" in page.url
        decided = browser.decide(page)
        if decided.left_to and decided.left_to.startswith(acme.url):
            decided = browser.open(answered(decided.left_to))
        assert decided.answer["code"]


def test_nobody_gives_the_scope_admin_unseen(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    """Only admins have it to give, and who it is is not known yet: it is left out, or asked for after signing in."""
    page = browser.open(app.authorize_url(scope="read admin"))
    assert "Administer" not in page.text
    assert "/login" in browser.open(app.authorize_url(scope="admin")).url


def test_an_admin_who_signed_in_long_ago_signs_in_first(
    house: House, browser: Browser, app: App, acme: Upstream
) -> None:
    """Else the page before signing in would leave the scope `admin` out, though it is known who has it to give."""
    page = browser.open("/login")
    page = browser.send("/login/provider", csrf=page.field("csrf"), req="", provider="acme")
    browser.open(answered(page.left_to or ""))
    house.sql("UPDATE users SET is_admin = true WHERE email = 'ada@example.com'")
    house.turn_clock(minutes=16)
    page = browser.open(app.authorize_url(scope="read admin"))
    assert "/login" in page.url
    left = browser.send("/login/provider", csrf=page.field("csrf"), req=page.field("req"), provider="acme").left_to
    page = browser.open(answered(left or ""))
    assert "Administer" in page.text
    assert app.redeem(browser.decide(page).answer["code"]).json()["scope"] == "read admin"


def test_api_keys_are_allowed_before_signing_in_again(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    for late in (0, 16):
        house.turn_clock(minutes=late)
        page = browser.open(app.authorize_url(scope="api_keys"))
        assert "you sign in with Acme next" in page.text
        assert browser.open(answered(browser.decide(page).left_to or "")).answer["code"]


def test_prompt_none_is_answered(house: House, browser: Browser, app: App) -> None:
    assert browser.open(app.authorize_url(prompt="none")).answer["error"] == "login_required"


def test_there_is_no_other_way_in(house: House, browser: Browser) -> None:
    page = browser.open("/login")
    assert 'name="password"' not in page.text
    assert "Continue with Acme" in page.text
    token = page.field("csrf")
    fields = {"email": "owner@example.com", "password": "four words make one"}
    assert browser.send("/login", csrf=token, req="", **fields).status == 404
    for path in ("/password/forgot", "/login/link", "/login/link/open", "/sign-up"):
        assert browser.open(path).status == 404


def test_the_service_is_away(house: House, browser: Browser, app: App, acme: Upstream) -> None:
    """A page with the way to try again; the app still waits."""
    page = browser.open(app.authorize_url())
    acme.replies["/.well-known/openid-configuration"] = (500, {}, b"")
    page = browser.decide(page)
    assert (page.status, "does not answer properly" in page.text) == (503, True)
    assert "/authorize/continue?req=" in page.text


# GATEHOUSE_REDIRECT_HOSTS ----------------------------------------------------------------------------------------------

WELCOME = ["https://claude.ai/api/cb", "http://127.0.0.1:9/cb", "cursor://x/cb", "https://a.apps.example/cb"]
WELCOME += ["com.example.app:/cb", "quill://cb"]
UNWELCOME = [
    "https://evil.example/cb",
    "https://claude.ai.evil.example/cb",
    "https://xclaude.ai/cb",
    "https://apps.example/cb",
    "http://localhost:9/cb",
    "vscode://x/cb",
    "https://evil.example/claude.ai",
    "claude.ai:/cb",
    "claude.ai://cb",
    "a.apps.example:/cb",
    "https://quill/cb",
    "https://com.example.app/cb",
]


@pytest.mark.parametrize("uri", WELCOME)
def test_hosts_that_are_named(house: House, uri: str) -> None:
    assert App(house.url, redirect_uri=uri).register()["redirect_uris"] == [uri]


@pytest.mark.parametrize("uri", UNWELCOME)
def test_hosts_that_are_not_named(house: House, browser: Browser, app: App, uri: str) -> None:
    """RFC 7591 §3.2.2; and of apps that were registered before, a page and never a redirect (RFC 6749 §4.1.2.1)."""
    body = {"redirect_uris": ["https://claude.ai/cb", uri], "token_endpoint_auth_method": "none"}
    response = http().post(f"{house.url}/register", json=body)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_redirect_uri")
    house.sql("UPDATE clients SET redirect_uris = ARRAY[:uri]", uri=uri)
    for asked in (uri, None):
        page = browser.open(app.authorize_url(redirect_uri=asked))
        assert (page.status, page.left_to) == (400, None)
        assert "does not accept" in page.text


def test_a_scheme_called_localhost_is_not_the_host(dsn: str, house: House) -> None:
    """RFC 8252 §7.1: any program may claim it."""
    narrow = House(dsn, redirect_hosts=("localhost",)).start()
    try:
        assert App(narrow.url, redirect_uri="http://localhost:9/cb").register()
        for uri in ("localhost:/cb", "localhost://cb"):
            body = {"redirect_uris": [uri], "token_endpoint_auth_method": "none"}
            refused = http().post(f"{narrow.url}/register", json=body)
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_redirect_uri")
    finally:
        narrow.stop()

"""Checks 31 to 43: the authorization endpoint and the pages behind it (RFC 6749 §4.1, RFC 9207, RFC 8707, MCP "Consent")."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import jwt
import pytest

from tests.actors import App, Browser, http
from tests.blackbox.conftest import PUBLIC
from tests.conftest import House

WRITTEN = ["browser_sessions", "clients", "codes", "connections", "consents", "audit_events"]
READ, WRITE = "See what the tools can show you", "Change and delete things"


def test_get_authorize_may_be_fetched_twice(app: App, house: House) -> None:
    """Check 31: fastmcp looks before it sends a browser, without cookies; nothing is begun by that."""
    counted = [house.sql(f"SELECT count(*) FROM {table}") for table in WRITTEN]
    for _ in range(2):
        answer = http().get(app.authorize_url())
        assert answer.status_code in (200, 302, 303)
        assert urlsplit(answer.headers["location"]).path == "/login"
        assert "set-cookie" not in answer.headers
    assert [house.sql(f"SELECT count(*) FROM {table}") for table in WRITTEN] == counted


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_on_loopback_the_port_alone_may_differ(house: House, browser: Browser, host: str) -> None:
    """Check 34, AS-15: RFC 8252 §7.3; everything else is compared as a string."""
    app = App(house.url, redirect_uri=f"http://{host}:3030/callback")
    app.register()
    assert "/login" in browser.open(app.authorize_url(redirect_uri=f"http://{host}:40001/callback")).url
    others = [f"http://{host}:40001/callback2", f"https://{host}:3030/callback", "http://127.0.0.2:3030/callback"]
    for other in [*others, f"http://{host}:40001/callback?x", f"http://{host}:40001/Callback"]:
        page = browser.open(app.authorize_url(redirect_uri=other))
        assert (page.status, page.left_to) == (400, None), other
        assert page.headers["content-type"].startswith("text/html")


def test_allow_brings_code_state_and_iss(app: App, browser: Browser) -> None:
    """Check 35, AS-8: RFC 6749 §4.1.2, RFC 9207 §2; each once, the state byte for byte."""
    state = "a+b%20c&code=x#é/" + "s" * 500
    page = browser.sign_in(browser.open(app.authorize_url(state=state)))
    page = browser.decide(page)
    assert page.status in (302, 303)
    assert str(page.left_to).startswith(app.redirect_uri + "?")
    assert set(page.answer) == {"code", "state", "iss"}
    assert (page.answer["state"], page.answer["iss"]) == (state, app.url)
    assert app.redeem(page.answer["code"]).status_code == 200


def test_without_scope_the_default_is_shown_and_granted(app: App, browser: Browser) -> None:
    """Check 37: RFC 6749 §3.3."""
    page = browser.sign_in(browser.open(app.authorize_url(scope=None)))
    assert READ in page.text
    assert WRITE in page.text
    assert app.redeem(browser.decide(page).answer["code"]).json()["scope"] == "read write"


def test_of_unknown_scopes_the_known_ones_remain(app: App, browser: Browser) -> None:
    """Check 38, AS-18, RS-5: what the Python SDK sends; prompt=consent asks although all was allowed before."""
    app.connect(browser)
    page = browser.open(app.authorize_url(scope="read offline_access bogus", prompt="consent"))
    assert "/consent" in page.url
    assert READ in page.text
    assert WRITE not in page.text
    assert app.redeem(browser.decide(page).answer["code"]).json()["scope"] == "read"


def test_every_spelling_of_the_resource_means_one_audience(app: App, browser: Browser, public: House) -> None:
    """Check 39, AS-20, AS-21: RFC 8707 §2, MCP "Canonical Server URI"."""
    origin = app.url
    upper = origin.replace("http://localhost", "HTTP://LocalHost")
    for resource in (None, f"{origin}/mcp", f"{origin}/mcp/", f"{upper}/mcp", origin, f"{origin}/"):
        token = app.connect(browser, resource=resource)["access_token"]
        assert jwt.decode(token, options={"verify_signature": False})["aud"] == f"{origin}/mcp", resource
    elsewhere = App(public.url)
    elsewhere.register()
    for resource in (f"{PUBLIC}:443/mcp", f"{PUBLIC.upper()}:443/mcp/"):
        answer = http().get(elsewhere.authorize_url(resource=resource))
        assert answer.headers["location"].startswith("/login"), resource
    foreign = http().get(elsewhere.authorize_url(resource=f"{PUBLIC}:444/mcp"))
    assert "error=invalid_target" in foreign.headers["location"]


def test_a_foreign_resource_is_no_target(app: App, browser: Browser) -> None:
    """Check 40, AS-8, RS-7: RFC 8707 §2."""
    foreign = "https://other.example/mcp"
    for resources in ([foreign], [f"{app.url}/mcp", foreign], [f"{app.url}/mcp#f"]):
        page = browser.open(f"{app.authorize_url()}&{urlencode([('resource', one) for one in resources])}")
        assert str(page.left_to).startswith(app.redirect_uri + "?")
        told = (page.answer["error"], page.answer["state"], page.answer["iss"])
        assert told == ("invalid_target", "xyz", app.url), resources


def test_nobody_frames_keeps_or_forges_the_consent_page(app: App, browser: Browser, house: House) -> None:
    """Check 42, UI-4, UI-5, CIMD-16: RFC 9700 §4.16; no form-action, or Chromium would not go on to cursor://; no logos."""
    app.register(redirect_uris=["cursor://x/callback"], logo_uri="https://logos.example/x.png")
    app.redirect_uri = "cursor://x/callback"
    page = browser.sign_in(browser.open(app.authorize_url()))
    assert "/consent" in page.url
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "form-action" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "logos.example" not in page.text
    stranger = Browser(house.url)
    csrf = stranger.open("/login").field("csrf")
    fields = {"req": page.field("req"), "decision": "allow"}
    for forged in (browser.send("/consent", **fields), browser.send("/consent", **fields, csrf=csrf)):
        assert (forged.status, forged.left_to) == (403, None)
    answer = browser.http.get(page.url, headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert str(browser.decide(page).left_to).startswith("cursor://x/callback?code=")


def test_cookies_are_the_hosts_alone(public: House, house: House) -> None:
    """UI-7: RFC 6265bis §4.1.3; where the issuer is https, as it is everywhere but on this computer."""
    cookie = http().get(f"{public.url}/login").headers["set-cookie"]
    name, *attributes = [part.strip().lower() for part in cookie.split(";")]
    assert name.startswith("__host-")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(attributes)
    assert not [attribute for attribute in attributes if attribute.startswith("domain")]

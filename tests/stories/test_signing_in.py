"""People sign in, decide, and nobody decides for them (OWASP authentication and session rules, MCP "Consent")."""

from __future__ import annotations

import re
import time

import pytest

from tests.actors import App, Browser, http
from tests.conftest import House


def test_consent_shows_who_asks_what_for_and_where_the_answer_goes(app: App, browser: Browser) -> None:
    app.register(client_name="<img src=x onerror=alert(1)>{{7*7}}")
    page = browser.sign_in(browser.open(app.authorize_url(scope="read api_keys")))
    assert "&lt;img src=x onerror=alert(1)&gt;{{7*7}}" in page.text
    assert "<img src=x" not in page.text
    assert "127.0.0.1" in page.text
    assert "See what the tools can show you" in page.text
    assert "Create and revoke your API keys" in page.text
    assert "Change and delete" not in page.text
    assert "ada@example.com" in page.text
    assert "Switch account" in page.text


def test_consent_is_remembered_and_asked_again_for_more(app: App, browser: Browser) -> None:
    app.code(browser, scope="read")
    assert "code" in browser.open(app.authorize_url(scope="read")).answer
    more = browser.open(app.authorize_url(scope="read write"))
    assert "/consent" in more.url
    assert "allowed before" in more.text
    browser.decide(more)
    assert "code" in browser.open(app.authorize_url(scope="read write")).answer
    assert "/consent" in browser.open(app.authorize_url(prompt="consent")).url
    assert browser.open(app.authorize_url(scope="api_keys", prompt="none")).answer["error"] == "consent_required"


def test_consent_is_for_one_client_and_one_redirect_host(app: App, browser: Browser, house: House) -> None:
    """A fresh client of the same name asks anew."""
    app.register(redirect_uris=["http://127.0.0.1:3030/callback", "http://localhost:3030/callback"])
    app.code(browser)
    other = App(house.url)
    other.register(scope="read")
    assert "/consent" in browser.open(other.authorize_url()).url
    app.redirect_uri = "http://localhost:3030/callback"
    assert "/consent" in browser.open(app.authorize_url()).url


def test_deny_is_told_to_the_app(app: App, browser: Browser, house: House) -> None:
    page = browser.sign_in(browser.open(app.authorize_url()))
    answer = browser.decide(page, "deny").answer
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "xyz", app.url)
    assert house.sql("SELECT count(*) FROM consents") == [(0,)]
    assert "/consent" in browser.open(app.authorize_url()).url


def test_switching_accounts_comes_back_to_the_same_request(app: App, browser: Browser, house: House) -> None:
    house.add_user("bob@example.com")
    page = browser.sign_in(browser.open(app.authorize_url()))
    login = browser.send("/logout", csrf=page.field("csrf"), req=page.field("req"))
    assert "/login" in login.url
    page = browser.sign_in(login, email="bob@example.com")
    assert "bob@example.com" in page.text
    assert browser.decide(page).answer["state"] == "xyz"


def test_a_stranger_cannot_press_allow(app: App, browser: Browser, house: House) -> None:
    """Consent CSRF: the token is bound to the cookie of this browser; Origin and Sec-Fetch-Site are looked at."""
    page = browser.sign_in(browser.open(app.authorize_url()))
    attacker = Browser(house.url)
    house.add_user("mallory@example.com")
    theirs = attacker.sign_in(attacker.open(app.authorize_url()), email="mallory@example.com")
    req, csrf = page.field("req"), page.field("csrf")
    attempts = [
        browser.send("/consent", req=req, decision="allow"),
        browser.send("/consent", req=req, decision="allow", csrf=theirs.field("csrf")),
        browser.send("/consent", {"Origin": "https://evil.example"}, req=req, decision="allow", csrf=csrf),
        browser.send("/consent", {"Sec-Fetch-Site": "cross-site"}, req=req, decision="allow", csrf=csrf),
        Browser(house.url).send("/consent", req=req, decision="allow", csrf=csrf),
    ]
    assert [(attempt.status, attempt.left_to) for attempt in attempts] == [(403, None)] * 5
    # The attacker's own approval is worth nothing in the victim's browser.
    fields = {"csrf": theirs.field("csrf"), "req": theirs.field("req"), "decision": "allow"}
    approved = attacker.http.post(f"{house.url}/consent", data=fields).headers["location"]
    assert approved.startswith("/authorize/continue")
    assert "/consent" in browser.open(approved).url
    assert house.sql("SELECT count(*) FROM codes") == [(0,)]


def test_login_csrf_and_session_fixation_do_not_work(house: House, browser: Browser) -> None:
    house.add_user()
    page = browser.open("/login")
    before = dict(browser.http.cookies)
    stranger = Browser(house.url)
    fields = {"req": "", "email": "ada@example.com", "password": "four words make one"}
    assert stranger.send("/login", csrf=page.field("csrf"), **fields).status == 403
    assert browser.send("/login", {"Origin": "https://evil.example"}, csrf=page.field("csrf"), **fields).status == 403
    assert browser.sign_in(page).url.endswith("/account")
    assert dict(browser.http.cookies) != before
    fixed = Browser(house.url)
    fixed.http.cookies.update(before)
    assert "/login" in fixed.open("/account").url


def test_cookies_keep_to_themselves(house: House, browser: Browser) -> None:
    cookie = http().get(f"{house.url}/login").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login",
        "/account",
        "/authorize",
        "/consent",
        "/setup",
        "/password",
        "/nothing",
        "/password/forgot",
        "/login/link",
        "/login/link/open",
        "/sign-up",
        "/invitation",
        "/account/email",
    ],
)
def test_every_page_is_framed_by_nobody_and_kept_by_nobody(house: House, path: str) -> None:
    response = http(follow_redirects=True).get(house.url + path, headers={"Accept": "text/html"})
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "form-action" not in response.headers["content-security-policy"], "Chromium would block the way back to apps"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    scripts = re.findall(r"<script[^>]*>[^<]*", response.text)
    assert all(re.fullmatch(r'<script src="/static/[a-z]+\.js\?v=[0-9.]+" defer>', script) for script in scripts)
    assert "unsafe" not in response.headers["content-security-policy"]


def test_nothing_tells_who_has_an_account(house: House) -> None:
    """Same status, same words, same work."""
    house.add_user()
    texts, times = {}, {}
    for email in ("ada@example.com", "nobody@example.com"):
        samples = []
        for _ in range(3):
            browser = Browser(house.url)
            page = browser.open("/login")
            began = time.perf_counter()
            page = browser.sign_in(page, email=email, password="wrong wrong wrong")
            samples.append(time.perf_counter() - began)
        csrf, challenge = page.field("csrf"), page.field("challenge")
        reference = re.sub(r"[0-9a-f]{16}", "", page.text)
        texts[email] = (page.status, reference.replace(email, "").replace(csrf, "").replace(challenge, ""))
        times[email] = min(samples)
    assert texts["ada@example.com"] == texts["nobody@example.com"]
    assert times["nobody@example.com"] > times["ada@example.com"] / 4  # without a hash it is a tenth


def test_guessing_is_slowed_whatever_the_headers_say(house: House) -> None:
    """Per account and address, and per address; forged forwarding headers change nothing."""
    house.add_user()
    statuses = []
    for number in range(10):
        browser = Browser(house.url, headers={"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for={number}"})
        page = browser.sign_in(password="wrong wrong wrong")
        statuses.append(page.status)
    assert statuses == [400] * 8 + [429] * 2
    assert int(page.headers["retry-after"]) > 0
    assert Browser(house.url).sign_in().status == 429, "the right password too, from there, for now"
    house.turn_clock(minutes=6)
    assert Browser(house.url).sign_in().url.endswith("/account")


def test_a_session_ends_idle_and_in_any_case(house: House, browser: Browser) -> None:
    """8 hours unused, 24 in all."""
    house.add_user()
    browser.sign_in()
    house.turn_clock(hours=7)
    assert browser.open("/account").url.endswith("/account")
    house.turn_clock(hours=7)
    assert browser.open("/account").url.endswith("/account")
    house.turn_clock(hours=9)
    assert "/login" in browser.open("/account").url


def test_signing_out_ends_the_session_on_the_server(house: House, browser: Browser) -> None:
    house.add_user()
    page = browser.sign_in()
    cookies = dict(browser.http.cookies)
    browser.send("/logout", csrf=page.field("csrf"))
    copy = Browser(house.url)
    copy.http.cookies.update(cookies)
    assert "/login" in copy.open("/account").url


@pytest.mark.parametrize(
    "hostile", ["//evil.example", "https://evil.example", "javascript:alert(1)", "/\\evil", "é\0", "x" * 9000]
)
def test_there_is_nowhere_else_to_go_after_signing_in(house: House, browser: Browser, hostile: str) -> None:
    """No open redirect: `req` is sealed, and nothing else is looked at."""
    house.add_user()
    page = browser.open("/login")
    fields = {"email": "ada@example.com", "password": "four words make one"}
    ended = browser.send("/login", csrf=page.field("csrf"), req=hostile, **fields)
    assert ended.left_to is None
    assert ended.status == 400


def test_the_first_owner_comes_by_a_link_that_works_once(house: House, browser: Browser) -> None:
    assert "There is no owner yet" in browser.open("/").text
    link = house.operator("user", "add", "owner@example.com", "--admin").split()[-1]
    assert link.startswith(f"{house.url}/password?code=gh_link_")
    page = browser.open(link)
    assert "owner@example.com" in page.text
    short = browser.send("/password", csrf=page.field("csrf"), code=page.field("code"), password="short")
    assert short.status == 400
    assert "at least 15 characters" in short.text
    done = browser.send("/password", csrf=page.field("csrf"), code=page.field("code"), password="a new one, quite long")
    assert done.url.endswith("/account")
    assert browser.open(link).status == 410
    assert (
        Browser(house.url).sign_in(email="owner@example.com", password="a new one, quite long").url.endswith("/account")
    )


def test_a_link_ends_after_a_day(house: House, browser: Browser) -> None:
    link = house.operator("user", "add", "owner@example.com").split()[-1]
    house.turn_clock(hours=25)
    assert browser.open(link).status == 410

"""What people see of their apps, answers, browsers and themselves, and may undo; nobody else does (OWASP access control)."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from tests.actors import App, Browser, Page
from tests.conftest import House

PAGES = (
    "/account",
    "/account/allowed",
    "/account/api-keys",
    "/account/sessions",
    "/account/usage",
    "/account/profile",
    "/account/delete",
)
FORMS = (
    "/account/connections/revoke",
    "/account/allowed/forget",
    "/account/api-keys",
    "/account/api-keys/rotate",
    "/account/api-keys/revoke",
    "/account/sessions/end",
    "/account/sessions/end-others",
    "/account/profile",
    "/account/export",
    "/account/delete",
)


def ids(page: Page) -> list[str]:
    return re.findall(r'(?:name="id" value="|/revoke\?id=)([^"]+)"', page.text)


@pytest.fixture
def bob(house: House) -> Browser:
    """Somebody else, signed in."""
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    return bob


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_who_it_is_and_comes_back(house: House, browser: Browser, path: str) -> None:
    house.add_user()
    asked = browser.open(path)
    assert "/login" in asked.url
    arrived = browser.sign_in(asked)
    assert (arrived.url, arrived.status) == (house.url + path, 200)
    assert arrived.text.count("<h1>") == 1
    if path not in ("/account/allowed", "/account/delete"):
        assert f'<a href="{path}" aria-current="page">' in arrived.text
    assert "Administration" not in arrived.text


@pytest.mark.parametrize("path", FORMS)
def test_no_form_is_taken_from_anybody_else(house: House, browser: Browser, bob: Browser, path: str) -> None:
    house.add_user()
    browser.sign_in()
    theirs = bob.open("/account").field("csrf")
    mine = browser.open("/account").field("csrf")
    before = house.sql("SELECT count(*) FROM audit_events")
    attempts = [
        browser.send(path, id="x"),
        browser.send(path, csrf=theirs, id="x"),
        browser.send(path, {"Origin": "https://evil.example"}, csrf=mine, id="x"),
        browser.send(path, {"Sec-Fetch-Site": "cross-site"}, csrf=mine, id="x"),
    ]
    assert [attempt.status for attempt in attempts] == [403] * 4
    assert house.sql("SELECT count(*) FROM audit_events") == before


def test_an_app_is_shown_for_what_it_is(house: House, app: App, browser: Browser) -> None:
    app.register(client_name="<script>x</script> Quill")
    token = app.connect(browser, scope="read")["access_token"]
    app.call("whoami", token)
    house.wait_for(house.world.tally.flush())
    text = browser.open("/account").text
    assert "&lt;script&gt;x&lt;/script&gt; Quill" in text
    assert "unverified name" in text
    assert "See what the tools can show you" in text
    assert "Change and delete" not in text
    assert "127.0.0.1" in text
    assert "<code>whoami</code>" in text
    assert "just now" in text
    static = house.operator("client", "add", "Ours", "--redirect-uri", app.redirect_uri, "--public")
    app.client_id = re.findall(r"client_[0-9a-f]{24}", static)[0]
    app.connect(browser)
    assert "set up by the operator" in browser.open("/account").text


def test_disconnecting_bites_within_a_second_and_the_app_has_to_ask_again(
    house: House, app: App, browser: Browser
) -> None:
    tokens = app.connect(browser)
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    page = browser.open("/account")
    said = browser.send("/account/connections/revoke", csrf=page.field("csrf"), id=ids(page)[0])
    assert "The app is disconnected." in said.text
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert "/consent" in browser.open(app.authorize_url()).url, "what was allowed is not remembered either"
    again = browser.send("/account/connections/revoke", csrf=page.field("csrf"), id=ids(page)[0])
    assert "it had ended already" in again.text
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'connection.revoked'") == [(1,)]


def test_an_answer_is_forgotten_and_the_app_stays_connected(house: House, app: App, browser: Browser) -> None:
    tokens = app.connect(browser)
    assert "code" in browser.open(app.authorize_url()).answer
    page = browser.open("/account/allowed")
    fields = {name: page.field(name) for name in ("csrf", "client_id", "redirect_host", "resource")}
    assert "Forgotten." in browser.send("/account/allowed/forget", **fields).text
    assert "/consent" in browser.open(app.authorize_url()).url
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert "Nothing is remembered." in browser.open("/account/allowed").text
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'consent.forgotten'") == [(1,)]


def test_ids_of_somebody_else_do_nothing(house: House, app: App, browser: Browser, bob: Browser) -> None:
    """Every act names its owner in the statement."""
    tokens = app.connect(browser)
    page = browser.open("/account")
    browser.send("/account/api-keys", csrf=page.field("csrf"), name="cron", scope="read", expires="30d")
    allowed = browser.open("/account/allowed")
    csrf = bob.open("/account").field("csrf")
    [(connection,)], [(key,)] = house.sql("SELECT id FROM connections"), house.sql("SELECT id FROM api_keys")
    [(session,)] = house.sql(
        "SELECT s.id FROM browser_sessions s JOIN users u ON u.id = s.user_id WHERE u.email = 'ada@example.com'"
    )
    consent = {name: allowed.field(name) for name in ("client_id", "redirect_host", "resource")}
    before = house.sql("SELECT count(*) FROM audit_events")
    for path, fields in (
        ("/account/connections/revoke", {"id": str(connection)}),
        ("/account/api-keys/revoke", {"id": str(key)}),
        ("/account/api-keys/rotate", {"id": str(key)}),
        ("/account/sessions/end", {"id": str(session)}),
        ("/account/sessions/end-others", {}),
        ("/account/allowed/forget", consent),
    ):
        assert "Nothing to do" in bob.send(path, csrf=csrf, **fields).text, path
    assert house.sql("SELECT count(*) FROM audit_events") == before
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert browser.open("/account").url.endswith("/account")
    assert house.sql("SELECT count(*) FROM consents") == [(1,)]
    assert house.sql("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL AND rotated_at IS NULL") == [(1,)]


def test_browsers_are_told_apart_and_signed_out(house: House, browser: Browser) -> None:
    house.add_user()
    browser.http.headers["User-Agent"] = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"
    browser.sign_in()
    others = [Browser(house.url, headers={"User-Agent": f"curl/{number}"}) for number in (8, 9)]
    for other in others:
        other.sign_in()
    page = browser.open("/account/sessions")
    assert "Firefox on Windows" in page.text
    assert page.text.count("curl</span>") == 2
    assert page.text.count("this browser") == 1
    assert page.text.count("This computer") == 3
    assert len(ids(page)) == 2, "this browser is not offered among those to sign out"
    said = browser.send("/account/sessions/end", csrf=page.field("csrf"), id=ids(page)[0])
    assert "That browser is signed out." in said.text
    assert "/login" in others[1].open("/account").url, "the newest comes first"
    assert others[0].open("/account").url.endswith("/account")
    said = browser.send("/account/sessions/end-others", csrf=page.field("csrf"))
    assert "Every other browser is signed out." in said.text
    assert "/login" in others[0].open("/account").url
    assert browser.open("/account").url.endswith("/account")
    events = house.sql("SELECT event FROM audit_events WHERE event LIKE 'session.%' ORDER BY id")
    assert events == [("session.ended",), ("session.others_ended",)]


def test_idle_sessions_are_not_listed(house: House, browser: Browser) -> None:
    house.add_user()
    Browser(house.url).sign_in()
    house.turn_clock(hours=9)
    browser.sign_in()
    assert browser.open("/account/sessions").text.count("Signed in <time") == 1


def test_the_profile_keeps_what_was_typed_and_says_what_is_wrong(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    csrf = browser.open("/account/profile").field("csrf")
    for name in ("", "\u200b", "x" * 101):
        refused = browser.send("/account/profile", csrf=csrf, name=name, language="zh-Hans")
        assert refused.status == 400
        assert 'id="name-fault">A name has 1 to 100 visible characters.' in refused.text
        assert f'value="{name}" aria-invalid="true" aria-describedby="name-fault" autofocus' in html.unescape(
            refused.text
        )
        assert '<option value="zh-Hans" lang="zh-Hans" selected>' in refused.text
    refused = browser.send("/account/profile", csrf=csrf, name="Ada", language="tlh")
    assert (refused.status, 'id="language-fault"' in refused.text) == (400, True)
    assert house.sql("SELECT name, language FROM users") == [("ada", None)]


def test_name_and_language_are_saved(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    csrf = browser.open("/account/profile").field("csrf")
    saved = browser.send("/account/profile", csrf=csrf, name="  Ada <Lovelace> ", language="zh-Hans")
    assert '<html lang="zh-Hans">' in saved.text
    assert "Ada &lt;Lovelace&gt;" in saved.text
    assert '<html lang="zh-Hans">' in browser.open("/").text
    browser.send("/account/profile", csrf=csrf, name="Ada", language="")
    assert '<html lang="en">' in browser.open("/account").text
    assert house.sql("SELECT name, language FROM users") == [("Ada", None)]


def test_the_front_page_knows_who_is_there(house: House, browser: Browser) -> None:
    house.add_user(admin=True)
    text = browser.open("/").text
    assert f'<code id="mcp" aria-labelledby="address">{house.url}/mcp</code>' in text
    assert 'href="/account"' not in text
    for client in ("Claude", "ChatGPT", "Claude Code", "Codex", "Gemini CLI", "Cursor", "VS Code", "curl"):
        assert f"<h3>{client}</h3>" in text
    assert f"claude mcp add --transport http gatehouse {house.url}/mcp" in text
    assert 'href="cursor://anysphere.cursor-deeplink/mcp/install?name=gatehouse&amp;config=' in text
    assert 'href="vscode:mcp/install?%7B' in text
    browser.sign_in()
    text = browser.open("/").text
    assert 'href="/account"' in text
    assert 'href="/admin"' in text


def test_a_long_list_is_read_page_by_page(house: House, app: App, browser: Browser) -> None:
    """By key: every connection is seen once, the newest first, and the last page has no further one."""
    app.connect(browser)
    house.sql(
        """INSERT INTO connections SELECT 'con_' || n, user_id, client_id, redirect_host, resource, scope, 0,
             created_at - n * interval '1 second', refreshed_at, last_used_at, expires_at
           FROM connections, generate_series(1, 119) n"""
    )
    seen: list[str] = []
    page, pages = browser.open("/account"), 1
    assert len(page.text) < 32_000
    seen += ids(page)
    while more := re.search(r'href="(/account\?after=[^"]+)" rel="next"', page.text):
        page, pages = browser.open(html.unescape(more[1])), pages + 1
        seen += ids(page)
    assert (len(seen), len(set(seen)), pages) == (120, 120, 4)
    assert seen[1:] == [f"con_{n}" for n in range(1, 120)]
    assert 'href="/account">Newest' in page.text
    assert browser.open("/account?after=nonsense").status == 400


def plan(house: House, statement: str, **values: object) -> str:
    return "\n".join(str(row[0]) for row in house.sql(f"EXPLAIN {statement}", **values))


def test_lists_of_100_000_rows_are_read_by_their_index(house: House, app: App, browser: Browser) -> None:
    """One person with 100,000 of everything, among others: a page costs its 51 rows, wherever in the list it is."""
    app.connect(browser)
    browser.sign_in()
    house.sql("INSERT INTO api_keys SELECT 'key_0', id, 'k', '\\x00', '{read}', now() FROM users")
    extra = "FROM {0}, generate_series(1, 100000) n"
    many = {
        "connections": "'con_' || n, user_id, client_id, redirect_host, resource, scope, 0, "
        "created_at - n * interval '1 second', refreshed_at, last_used_at, expires_at",
        "api_keys": "'key_' || n, user_id, name, int4send(n), scope, created_at - n * interval '1 second'",
        "browser_sessions": "int4send(n), 'ses_' || n, user_id, created_at - n * interval '1 second', "
        "authenticated_at, last_seen_at, expires_at, user_agent, address",
    }
    for table, columns in many.items():
        one = f"(SELECT * FROM {table} LIMIT 1) one"
        house.sql(f"INSERT INTO {table} SELECT {columns} {extra.format(one)}")
    house.sql(
        "INSERT INTO tool_calls SELECT id, current_date - n % 30, 'client_' || n / 300, 'tool_' || n % 10, 1 "
        "FROM users, generate_series(1, 100000) n ON CONFLICT DO NOTHING"
    )
    house.sql("ANALYZE")
    [(user_id,)] = house.sql("SELECT id FROM users")
    for table in many:
        found = plan(
            house,
            f"SELECT id FROM {table} WHERE user_id = :u AND (created_at, id) < (now() - interval '15 hours', 'x') "
            "ORDER BY created_at DESC, id DESC LIMIT 51",
            u=user_id,
        )
        assert "Scan Backward using ix_" in found, found
        assert "Sort" not in found
    shown = {"/account": 30, "/account/api-keys": 50, "/account/sessions": 49}  # not this browser
    assert {path: len(ids(browser.open(path))) for path in shown} == shown
    usage = browser.open("/account/usage")
    assert (usage.status, len(usage.text) < 50_000) == (200, True)


def test_consents_are_read_by_their_index(house: House, app: App, browser: Browser) -> None:
    app.connect(browser)
    house.sql(
        "INSERT INTO consents SELECT user_id, client_id, 'host' || n, resource, scope, given_at - n * interval '1 second' "
        "FROM consents, generate_series(1, 100000) n"
    )
    house.sql("ANALYZE consents")
    [(user_id,)] = house.sql("SELECT id FROM users")
    key = "given_at, client_id, redirect_host, resource"
    found = plan(
        house,
        f"SELECT {key} FROM consents WHERE user_id = :u AND ({key}) < (now() - interval '15 hours', 'x', 'x', 'x') "
        f"ORDER BY {', '.join(f'{name} DESC' for name in key.split(', '))} LIMIT 51",
        u=user_id,
    )
    assert "Backward using ix_consents_user_id_given_at" in found, found
    page = browser.open("/account/allowed")
    second = browser.open(html.unescape(re.findall(r'href="([^"]+)" rel="next"', page.text)[0]))
    hosts = [re.findall(r'name="redirect_host" value="([^"]+)"', one.text) for one in (page, second)]
    assert hosts == [["127.0.0.1", *(f"host{n}" for n in range(1, 50))], [f"host{n}" for n in range(50, 100)]]


def swept(house: House) -> dict[str, int]:
    from app.operate.sweep import sweep

    gone = house.wait_for(sweep(house.world, house.clock()))
    assert isinstance(gone, dict)
    return gone


def test_old_usage_is_swept(house: House, browser: Browser) -> None:
    house.add_user()
    house.sql(
        "INSERT INTO tool_calls SELECT id, current_date - days, 'c', 't', 1 FROM users, unnest('{0, 399, 402}'::int[]) days"
    )
    assert swept(house)["tool_calls"] == 1
    house.clock.ahead += timedelta(days=2)
    assert swept(house)["tool_calls"] == 1


def test_a_session_that_is_used_does_not_end_however_soon_idle_ones_do(house: House) -> None:
    """GATEHOUSE_SESSION_IDLE at its least: when it was last used is known more exactly than that."""
    hasty = House(house.dsn, session_idle=300).start()
    try:
        hasty.add_user()
        browser = Browser(hasty.url)
        browser.sign_in()
        for minutes in (2, 4, 4, 4, 4):
            hasty.turn_clock(minutes=minutes)
            assert browser.open("/account").url.endswith("/account")
        hasty.turn_clock(minutes=6)
        assert "/login" in browser.open("/account").url
    finally:
        hasty.stop()

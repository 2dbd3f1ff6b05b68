"""Accounts that tools act at: connected, sealed, refreshed once for all, asked for again when they end, given back."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from app.tokens.secrets import Unsealable
from app.upstream.vault import store, tokens
from app.upstream.vault.fetch import fresh
from tests.actors import App, Browser, Page, http
from tests.conftest import House
from tests.upstreams import Upstream, answered, as_json, house_with

LINK = "/connect/acme"


@pytest.fixture
def app(house: House, browser: Browser) -> App:
    """An app of Ada's, who is signed in; `token` is what it calls with."""
    house.add_user()
    browser.sign_in()
    app = App(house.url)
    app.register()
    app.token_of_ada = app.connect(browser)["access_token"]  # type: ignore[attr-defined]
    return app


def token_of(app: App) -> str:
    token: str = app.token_of_ada  # type: ignore[attr-defined]
    return token


def connect(browser: Browser, path: str = LINK) -> Page:
    page = browser.open(path)
    fields = {"csrf": page.field("csrf"), "scope": page.field("scope")}
    left = browser.send(path.split("?")[0], **fields).left_to
    assert left
    return browser.open(answered(left))


def call(app: App, tool: str = "service_profile", service: str = "acme") -> httpx2.Response:
    return app.call(tool, token_of(app), service=service)


def said(response: httpx2.Response) -> Any:
    result = response.json()["result"]
    assert not result.get("isError"), result
    return result["structuredContent"]


def text(response: httpx2.Response) -> str:
    result = response.json()["result"]
    assert result["isError"] is True, result
    words: str = result["content"][0]["text"]
    return words


def until(holds: Callable[[], bool]) -> None:
    """Waits for what another process, or a task without a caller, is about to do."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def events(house: House, event: str) -> list[Any]:
    return [
        row[0] for row in house.sql("SELECT detail FROM audit_events WHERE event = :event ORDER BY id", event=event)
    ]


# Connecting ------------------------------------------------------------------------------------------------------------


def test_a_tool_without_a_connection_says_where(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """And after connecting the same call works, without signing in again."""
    words = text(call(app))
    assert "You have not connected an account at Acme." in words
    assert f"{house.url}/connect/acme" in words
    page = connect(browser)
    assert "Connected. Go back to your app" in page.text
    assert "ada@example.com" in page.text
    assert said(call(app))["said"]["name"] == "Ada Lovelace"
    assert events(house, "upstream.connected") == [{"provider": "acme", "scope": "openid email profile"}]
    assert house.sql("SELECT count(*) FROM identities") == [(0,)]
    assert house.sql("SELECT count(*) FROM browser_sessions") == [(1,)]


def test_it_is_asked_for_by_url_where_the_client_can(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """MCP 2026-07-28: a question with the address, if the client says that it opens addresses; asked once, not in a loop."""
    able: dict[str, Any] = {"elicitation": {"url": {}}}
    result = modern(app, able).json()["result"]
    assert result["resultType"] == "input_required", result
    asked = result["inputRequests"]["connect"]
    assert asked["method"] == "elicitation/create"
    assert (asked["params"]["mode"], asked["params"]["url"]) == ("url", f"{house.url}/connect/acme")
    again = modern(app, able, inputResponses={"connect": {"action": "accept"}}, requestState=result.get("requestState"))
    assert f"open {house.url}/connect/acme" in text(again)
    connect(browser)
    again = modern(app, able, inputResponses={"connect": {"action": "accept"}}, requestState=result.get("requestState"))
    assert said(again)["said"]["name"] == "Ada Lovelace"


@pytest.mark.parametrize("able", [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}])
def test_else_the_tool_says_it(house: House, app: App, able: dict[str, Any]) -> None:
    assert f"open {house.url}/connect/acme" in text(modern(app, able))


def modern(app: App, capabilities: dict[str, Any], **more: Any) -> httpx2.Response:
    version = "2026-07-28"
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    }
    params = {"name": "service_profile", "arguments": {"service": "acme"}, "_meta": meta} | {
        name: value for name, value in more.items() if value is not None
    }
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": "tools/call", "Mcp-Name": "service_profile"}
    return app.mcp({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, token_of(app), headers)


def test_more_scopes_when_a_tool_needs_them(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """Incremental: what was allowed before is asked for again, so that nothing is lost."""
    acme_scopes = ["openid", "profile"]
    house.sql("SELECT 1")
    connect_with(house, browser, acme, acme_scopes)
    assert said(call(app))["scopes"] == acme_scopes
    words = text(call(app, "service_email"))
    assert "does not allow this yet" in words
    link = words.split("open ")[1].split(" ")[0]
    assert link == f"{house.url}/connect/acme?scope=email"
    page = browser.open(link)
    assert page.text.count("allowed before") == 2
    connect(browser, "/connect/acme?scope=email")
    assert said(call(app, "service_email"))["email"] == "ada@example.com"
    assert set(said(call(app))["scopes"]) == {"openid", "profile", "email"}


def connect_with(house: House, browser: Browser, acme: Upstream, scopes: list[str]) -> None:
    """As if the service had allowed no more than these."""
    connect(browser)
    house.sql("UPDATE upstream_accounts SET scope = :scopes", scopes=scopes)


def test_whoever_opens_the_link_connects_their_own(house: House, app: App, acme: Upstream) -> None:
    """MCP elicitation, "Phishing": the address of somebody's call, opened by somebody else, gives the caller nothing."""
    house.add_user("eve@example.com")
    eve = Browser(house.url)
    page = eve.open(f"{LINK}?scope=email")
    assert "/login" in page.url
    page = eve.sign_in(page, email="eve@example.com")
    assert page.url.endswith("/connect/acme?scope=email"), page.url
    connect(eve)
    assert "You have not connected" in text(call(app))


def test_signed_in_as_somebody_else_meanwhile(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    house.add_user("eve@example.com")
    page = browser.open(LINK)
    left = browser.send(LINK, csrf=page.field("csrf"), scope="").left_to
    browser.sign_in(email="eve@example.com")
    page = browser.open(answered(left or ""))
    assert (page.status, "Somebody else is signed in now" in page.text) == (403, True)
    assert house.sql("SELECT count(*) FROM upstream_accounts") == [(0,)]


def test_a_plain_oauth_service(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    connect(browser, "/connect/plain?scope=email")
    assert said(call(app, "service_email", "plain"))["email"] == "ada@example.com"


@pytest.mark.parametrize("scope", ["%0a", "x" * 700, '"', "%ff", "ü"])
def test_scopes_that_are_none(house: House, browser: Browser, scope: str) -> None:
    house.add_user()
    browser.sign_in()
    assert browser.open(f"{LINK}?scope={scope}").status == 400


def test_a_service_that_is_not_configured(app: App) -> None:
    assert "No service called nobody can be connected" in text(call(app, service="nobody"))


# Sealed ------------------------------------------------------------------------------------------------------------------


def test_sealed_for_user_provider_and_row(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """Nothing of the tokens is readable, and a row that is copied to another user or service opens for nobody."""
    connect(browser)
    [given] = list(acme.access_tokens)[-1:]
    assert given not in repr(house.sql("SELECT * FROM upstream_accounts"))
    found = house.wait_for(store.find(house.world.pool, house.sql("SELECT id FROM users")[0][0], "acme"))  # type: ignore[arg-type]
    assert isinstance(found, store.Account)
    purpose = house.world.secrets.upstream_tokens
    assert tokens.opened(found, purpose).access_token == given
    fields = {name: getattr(found, name) for name in store.Account.__slots__}
    for name in ("id", "user_id", "provider"):
        with pytest.raises(Unsealable):
            tokens.opened(store.Account(**fields | {name: "another"}), purpose)
    house.add_user("eve@example.com")
    house.sql("UPDATE upstream_accounts SET user_id = (SELECT id FROM users WHERE email = 'eve@example.com')")
    eve = Browser(house.url)
    eve.sign_in(email="eve@example.com")
    app.token_of_ada = app.connect(eve)["access_token"]  # type: ignore[attr-defined]
    assert "has ended" in text(call(app))


# Refreshed ---------------------------------------------------------------------------------------------------------------


def test_refreshed_ahead_of_time(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    connect(browser)
    house.turn_clock(minutes=54)
    said(call(app))
    assert acme.grants["refresh_token"] == 0
    house.turn_clock(minutes=2)
    said(call(app))
    said(call(app))
    assert acme.grants["refresh_token"] == 1
    assert house.sql("SELECT generation, lease, lease_until FROM upstream_accounts") == [(1, None, None)]


def test_many_calls_refresh_once(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """With a refresh token that is good once: a second refresh would end the connection (RFC 9700 §4.14)."""
    connect(browser)
    house.turn_clock(minutes=62)
    page_token = app.connect(signed_in(house))["access_token"]
    app.token_of_ada = page_token  # type: ignore[attr-defined]
    statuses: list[int] = []

    def one(client: httpx2.Client) -> None:
        mine = App(app.url, client_id=app.client_id, http=client)
        mine.token_of_ada = page_token  # type: ignore[attr-defined]
        response = call(mine)
        statuses.append(response.status_code if not response.json()["result"].get("isError") else 0)

    threads = [threading.Thread(target=one, args=(http(),)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 30
    assert acme.grants["refresh_token"] == 1


def signed_in(house: House) -> Browser:
    browser = Browser(house.url)
    browser.sign_in()
    return browser


def test_nobody_waits_while_the_old_one_is_good(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """Ahead of time one refreshes; the others go on with what there is. No connection of ours is held meanwhile."""
    connect(browser)
    house.turn_clock(minutes=56)
    acme.gate.clear()
    first = threading.Thread(target=lambda: call(app))
    first.start()
    while not house.sql("SELECT lease FROM upstream_accounts")[0][0]:
        pass
    mine = App(app.url, client_id=app.client_id)
    mine.token_of_ada = token_of(app)  # type: ignore[attr-defined]
    assert said(call(mine))["said"]["name"] == "Ada Lovelace"
    idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    assert house.sql(idle) == [(0,)]
    acme.gate.set()
    first.join()
    assert acme.grants["refresh_token"] == 1


def test_a_lease_of_the_dead_ends(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """Who dies while refreshing holds nobody up for longer than the lease."""
    connect(browser)
    house.turn_clock(minutes=56)
    house.sql("UPDATE upstream_accounts SET lease = 'dead', lease_until = :until", until=house.clock())
    said(call(app))
    assert acme.grants["refresh_token"] == 1


@pytest.mark.parametrize(
    "reply",
    [
        (502, {"Content-Type": "text/html"}, b"<h1>Bad gateway</h1>"),
        (200, {"Content-Type": "text/html"}, b"<!doctype html>"),
        as_json({"error": "invalid_client"}, 401),
        as_json({"error": "temporarily_unavailable"}, 400),
        as_json({}),
    ],
)
def test_an_outage_ends_nothing(house: House, app: App, browser: Browser, acme: Upstream, reply: Any) -> None:
    """503 to the caller, never an error about their own token; and when the service is back, it works."""
    connect(browser)
    acme.replies["/token"] = reply
    house.turn_clock(minutes=56)
    assert said(call(app))["said"]["name"] == "Ada Lovelace"  # the old one is good for four minutes
    house.turn_clock(minutes=3)
    said(call(app))
    house.turn_clock(minutes=10)
    app.token_of_ada = app.connect(signed_in(house))["access_token"]  # type: ignore[attr-defined]
    response = call(app)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    error = response.json()["error"]
    assert error["data"]["error"] == "upstream_unavailable"
    assert "invalid" not in response.headers.get("www-authenticate", "")
    assert call(app).status_code == 503  # at once, without asking the service
    asked = len([path for path, _ in acme.asked if path == "/token"])
    assert call(app).status_code == 503
    assert len([path for path, _ in acme.asked if path == "/token"]) == asked
    assert house.sql("SELECT broken_at FROM upstream_accounts") == [(None,)]
    del acme.replies["/token"]
    house.turn_clock(seconds=5)
    assert said(call(app))["said"]["name"] == "Ada Lovelace"


def test_a_revoked_grant_marks_the_connection(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """Its user is asked again; the token of our own client stays as good as it was."""
    connect(browser)
    acme.refresh_tokens.clear()
    house.turn_clock(minutes=56)
    words = text(call(app))
    assert "has ended and has to be made again" in words
    assert app.call("whoami", token_of(app)).status_code == 200
    assert events(house, "upstream.broken") == [{"provider": "acme", "because": "invalid_grant: it was revoked"}]
    assert "ended: connect it again" in browser.open("/account/services").text
    text(call(app))
    assert acme.grants["refresh_token"] == 1
    connect(browser)
    assert said(call(app))["said"]["name"] == "Ada Lovelace"


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ({"scope": "email \0"}, ["email"]),
        ({"scope": ["email", "\0", 7, None]}, ["email"]),
        ({"scope": "x" * 5000}, ["x" * 200]),
        ({"id": "\0"}, []),
        ({"expires_in": 1e15}, []),
    ],
)
def test_signs_that_no_database_has(
    house: House, app: App, browser: Browser, acme: Upstream, more: dict[str, Any], kept: list[str]
) -> None:
    """What a service writes beside its token is taken as far as it makes sense."""
    acme.replies["/token"] = as_json({"access_token": "a", "token_type": "Bearer", **more})
    acme.replies["/userinfo"] = as_json({}, 404)
    assert "Connected" in connect(browser, "/connect/plain").text
    assert house.sql("SELECT scope FROM upstream_accounts") == [(kept,)]


def test_a_refusal_with_such_signs_ends_it_all_the_same(
    house: House, app: App, browser: Browser, acme: Upstream
) -> None:
    connect(browser)
    acme.replies["/token"] = as_json({"error": "invalid_grant", "error_description": "a\0b"}, 400)
    house.turn_clock(minutes=56)
    assert "has ended" in text(call(app))
    assert events(house, "upstream.broken") == [{"provider": "acme", "because": "invalid_grant: ab"}]


def test_its_api_says_no(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """A token that was revoked before its time: one refresh, then the user is asked."""
    connect(browser)
    acme.access_tokens.clear()
    assert said(call(app))["said"]["name"] == "Ada Lovelace"
    assert acme.grants["refresh_token"] == 1
    acme.access_tokens.clear()
    acme.refresh_tokens.clear()
    assert "has ended" in text(call(app))


def test_tokens_that_do_not_end(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """As those of a GitHub OAuth app: good until the service says otherwise."""
    acme.lifetime, acme.refreshes = None, False
    connect(browser)
    house.turn_clock(minutes=50)
    said(call(app))
    acme.access_tokens.clear()
    assert "has ended" in text(call(app))
    assert events(house, "upstream.broken") == [{"provider": "acme", "because": "refused by the service"}]


def test_its_api_is_away(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    connect(browser)
    acme.replies["/userinfo"] = (503, {}, b"")
    assert call(app).status_code == 503
    assert house.sql("SELECT broken_at FROM upstream_accounts") == [(None,)]


def test_tokens_of_another_client_are_of_no_use(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    connect(browser)
    house.sql("UPDATE upstream_accounts SET client_id = 'the one before'")
    assert "has ended" in text(call(app))


def test_a_caller_who_leaves_does_not_lose_the_tokens(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """The refresh token was used up there when they left: what came for it is kept all the same."""
    connect(browser)
    house.turn_clock(minutes=56)
    acme.gate.clear()
    message = {"name": "service_profile", "arguments": {"service": "acme"}}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            f"{house.url}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": message},
            headers={"Authorization": f"Bearer {token_of(app)}", "Accept": "application/json, text/event-stream"},
            timeout=1,
        )
    acme.gate.set()
    until(lambda: house.sql("SELECT generation FROM upstream_accounts") == [(1,)])
    assert said(call(app))["said"]["name"] == "Ada Lovelace"
    assert acme.grants["refresh_token"] == 1


def test_a_call_that_is_cancelled_does_not_either(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """Whatever ends the task of a call: a tool with a time limit, a server that stops."""
    connect(browser)
    house.turn_clock(minutes=56)
    [(user_id,)] = house.sql("SELECT user_id FROM upstream_accounts")
    acme.gate.clear()

    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fresh(house.world, str(user_id), "acme"), 1)

    house.wait_for(cancelled())
    acme.gate.set()
    until(lambda: house.sql("SELECT generation FROM upstream_accounts") == [(1,)])
    assert said(call(app))["said"]["name"] == "Ada Lovelace"
    assert acme.grants["refresh_token"] == 1


def test_two_processes_refresh_once(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """The lease is in Postgres: of many calls at two servers, one refreshes."""
    connect(browser)
    house.turn_clock(minutes=62)
    [(user_id,)] = house.sql("SELECT user_id FROM upstream_accounts")
    other = house_with(house.dsn, {"acme": acme.definition()}).start()
    try:
        other.clock.ahead = house.clock.ahead
        acme.gate.clear()

        async def tokens_of(world: Any) -> list[str]:
            return [
                one.access_token
                for one in await asyncio.gather(*(fresh(world, str(user_id), "acme") for _ in range(20)))
            ]

        found = [asyncio.run_coroutine_threadsafe(tokens_of(each.world), each._loop) for each in (house, other)]
        until(
            lambda: acme.grants["refresh_token"] == 0 and house.sql("SELECT lease FROM upstream_accounts") != [(None,)]
        )
        acme.gate.set()
        assert len({token for each in found for token in each.result(30)}) == 1
    finally:
        other.stop()
    assert acme.grants["refresh_token"] == 1


def test_an_outage_is_nothing_to_our_own_tokens(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """A client that refreshes meanwhile gets its tokens, not invalid_grant."""
    granted = app.connect(browser)
    connect(browser)
    acme.replies["/token"] = as_json({"error": "invalid_grant"}, 503)
    house.turn_clock(minutes=62)
    answer = app.refresh(granted["refresh_token"])
    assert answer.status_code == 200, answer.text
    app.token_of_ada = answer.json()["access_token"]  # type: ignore[attr-defined]
    assert call(app).status_code == 503
    assert app.call("whoami", token_of(app)).status_code == 200


# Given back --------------------------------------------------------------------------------------------------------------


def test_disconnecting_tells_the_service(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    connect(browser)
    [given] = list(acme.refresh_tokens)
    page = browser.open("/account/services")
    page = browser.send("/account/services/disconnect", csrf=page.field("csrf"), provider="acme")
    assert "Disconnected, and the service was told." in page.text
    assert acme.revoked == [given]
    assert house.sql("SELECT count(*) FROM upstream_accounts") == [(0,)]
    assert "You have not connected" in text(call(app))
    assert events(house, "upstream.disconnected") == [{"provider": "acme"}]


def test_disconnecting_works_while_the_service_is_away(
    house: House, app: App, browser: Browser, acme: Upstream
) -> None:
    connect(browser)
    acme.replies["/revoke"] = as_json({}, 500)
    page = browser.open("/account/services")
    page = browser.send("/account/services/disconnect", csrf=page.field("csrf"), provider="acme")
    assert "could not be told" in page.text
    assert house.sql("SELECT count(*) FROM upstream_accounts") == [(0,)]


def test_disconnected_while_it_is_refreshed(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """What comes back then is kept by nobody."""
    connect(browser)
    house.turn_clock(minutes=56)
    acme.gate.clear()
    answers: list[httpx2.Response] = []
    first = threading.Thread(target=lambda: answers.append(call(app)))
    first.start()
    while not house.sql("SELECT lease FROM upstream_accounts")[0][0]:
        pass
    house.sql("DELETE FROM upstream_accounts")
    acme.gate.set()
    first.join()
    assert house.sql("SELECT count(*) FROM upstream_accounts") == [(0,)]
    assert "You have not connected" in text(answers[0])
    assert acme.refresh_tokens == {}


def test_an_export_names_it_without_tokens(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    connect(browser)
    page = browser.open("/account/profile")
    document = json.loads(browser.send("/account/export", csrf=page.field("csrf")).text)
    [row] = document["services"]
    assert (row["provider"], row["shown"]) == ("acme", "ada@example.com")
    assert "sealed" not in row


def test_with_the_account_everything_goes(house: House, app: App, browser: Browser, acme: Upstream) -> None:
    """And the service is told."""
    connect(browser)
    [given] = list(acme.refresh_tokens)
    page = browser.open("/account/delete")
    browser.send("/account/delete", csrf=page.field("csrf"), email="ada@example.com")
    assert house.sql("SELECT count(*) FROM upstream_accounts") == [(0,)]
    assert acme.revoked == [given]

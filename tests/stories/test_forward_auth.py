"""GET /forward-auth: reverse proxies ask whether a request may pass, and nothing but a good token makes it pass."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.actors import OPENED, App, Browser, http
from tests.conftest import House, emptied
from tests.holders import Holder

TOOLS = "https://tools.example.com/mcp"
RESOURCES = f"""
[resources.here]
path = "/mcp"
title = "Here"
builtin = true

[resources.tools]
path = "/tools"
title = "Tools elsewhere"
elsewhere = "{TOOLS}"

[resources.tools.scopes]
"tools:see" = "See what the tools show"
"tools:use" = {{ words = "Use the tools", implies = "tools:see", sensitive = true }}
"tools:own" = "Own the tools"
"""
NAMES = {"subject", "client", "scope", "resource", "via"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resources") / "gatehouse.toml"
    path.write_text(RESOURCES)
    return path


@pytest.fixture(scope="module")
def served_both(dsn: str, file: Path) -> Iterator[House]:
    house = House(dsn, resources_file=file).start()
    yield house
    house.stop()


@pytest.fixture(scope="module")
def served_behind(dsn: str, file: Path) -> Iterator[House]:
    """A proxy on this computer is trusted."""
    house = House(dsn, resources_file=file, trusted_proxies=(ip_network("127.0.0.0/8"),)).start()
    yield house
    house.stop()


@pytest.fixture
def house(served_both: House) -> Iterator[House]:
    yield emptied(served_both)
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def behind(served_behind: House) -> Iterator[House]:
    yield emptied(served_behind)
    while OPENED:
        OPENED.pop().close()


def ask(house: House, token: str | None, query: str = "", /, **headers: str) -> httpx2.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return http().get(f"{house.url}/forward-auth?{query or f'resource={house.url}/mcp'}", headers=sent)


def told(response: httpx2.Response) -> dict[str, str]:
    names = {name for name in response.headers if name.startswith("x-gatehouse-")}
    return {name.removeprefix("x-gatehouse-"): response.headers[name] for name in names}


# Who passes ----------------------------------------------------------------------------------------------------------


def test_a_good_token_passes_and_the_proxy_is_told_whose_it_is(app: App, browser: Browser, house: House) -> None:
    token = app.connect(browser)["access_token"]
    (subject,) = house.sql("SELECT id FROM users")[0]
    response = ask(house, token)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["cache-control"] == "no-store"
    assert told(response) == {
        "subject": subject,
        "client": app.client_id,
        "scope": "read write",
        "resource": f"{house.url}/mcp",
        "via": "authorization_code",
    }
    assert http().head(f"{house.url}/forward-auth?resource={house.url}/mcp").status_code == 401


def test_an_api_key_passes(app: App, house: House) -> None:
    key = house.operator("api-key", "add", "k", "--user", "ada@example.com", "--scope", "read", "--quiet").strip()
    assert told(ask(house, key)).items() >= {"via": "api_key", "scope": "read"}.items()
    assert ask(house, key, f"resource={house.url}/mcp&scope=write").status_code == 403
    assert ask(house, key, f"resource={TOOLS}").status_code == 401
    scope = "tools/tools:use"
    there = house.operator("api-key", "add", "t", "--user", "ada@example.com", "--scope", scope, "--quiet").strip()
    assert told(ask(house, there, f"resource={TOOLS}"))["scope"] == "tools:see tools:use"
    assert ask(house, there).status_code == 401
    house.wait_for(house.world.last_used.flush())
    assert (None,) not in house.sql("SELECT last_used_at FROM api_keys")


@pytest.mark.parametrize("token", [None, "garbage", "a.b.c", "gh_key_unknown", "x" * 9000])
def test_without_a_good_token_it_is_as_the_resource_would_say(house: House, token: str | None) -> None:
    """RFC 9728 §5.1: the challenge names the document, so that a client finds the way; pages may read it."""
    for resource, path, scope in (
        (f"{house.url}/mcp", "/mcp", "read write"),
        (TOOLS, "/tools", "tools:see tools:use tools:own"),
    ):
        response = ask(house, token, f"resource={resource}")
        assert response.status_code == 401
        said = response.headers["www-authenticate"]
        document = f"{house.url}/.well-known/oauth-protected-resource{path}"
        assert f'resource_metadata="{document}", scope="{scope}"' in said
        assert ("error" in said) == bool(token)
        assert "WWW-Authenticate" in response.headers["access-control-expose-headers"]
        assert told(response) == {}
        assert http().get(document).json()["resource"] == resource


def test_each_resource_is_an_audience_of_its_own(app: App, browser: Browser, house: House) -> None:
    """RFC 8707: the token for the one opens nothing at the other, here or elsewhere."""
    here = app.connect(browser)["access_token"]
    there = app.connect(browser, resource=TOOLS, scope="tools:use")["access_token"]
    assert ask(house, here, f"resource={TOOLS}").status_code == 401
    assert ask(house, there).status_code == 401
    assert app.call("whoami", there).status_code == 401
    assert http().post(f"{house.url}/tools", headers={"Authorization": f"Bearer {there}"}).status_code == 404
    assert told(ask(house, there, f"resource={TOOLS}/")).items() >= {
        ("scope", "tools:see tools:use"),
        ("resource", TOOLS),
    }


def test_scopes_are_those_that_the_configuration_asks_for(app: App, browser: Browser, house: House) -> None:
    """403 names all that is to be asked for next (MCP authorization "Scope Challenge")."""
    token = app.connect(browser, resource=TOOLS, scope="tools:use")["access_token"]
    for scope, status in (("tools:see", 200), ("tools:use+tools:see", 200), ("tools:own", 403), ("", 200)):
        response = ask(house, token, f"resource={TOOLS}&scope={scope}")
        assert response.status_code == status, scope
        if status == 403:
            assert 'scope="tools:own tools:see tools:use"' in response.headers["www-authenticate"]
            assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
            assert told(response) == {}
    only_openid = app.connect(browser, scope="openid")["access_token"]
    assert ask(house, only_openid).status_code == 403, "without scope=, what every call of the resource takes"


def test_the_scope_that_the_configuration_asks_for_is_in_the_challenge(house: House) -> None:
    response = ask(house, None, f"resource={house.url}/mcp&scope=api_keys")
    assert 'scope="read write api_keys"' in response.headers["www-authenticate"]


def test_an_admin_who_is_none_any_more(app: App, browser: Browser, house: House) -> None:
    house.sql("UPDATE users SET is_admin = true")
    token = app.connect(browser, scope="read admin")["access_token"]
    assert told(ask(house, token, f"resource={house.url}/mcp&scope=admin"))["scope"] == "admin read"
    house.sql("UPDATE users SET is_admin = false")
    assert ask(house, token, f"resource={house.url}/mcp&scope=admin").status_code == 403
    assert told(ask(house, token))["scope"] == "read"


# Whom to refuse, and when --------------------------------------------------------------------------------------------


def test_revocation_bites_at_once(app: App, browser: Browser, house: House) -> None:
    """RFC 7009: also for a token that was good a moment ago."""
    tokens = app.connect(browser)
    assert ask(house, tokens["access_token"]).status_code == 200
    ended = {"token": tokens["refresh_token"], "client_id": app.client_id}
    assert app.http.post(f"{app.url}/revoke", data=ended).status_code == 200
    house.catch_up()
    assert ask(house, tokens["access_token"]).status_code == 401
    key = house.operator("api-key", "add", "k", "--user", "ada@example.com", "--scope", "read", "--json")
    made = json.loads(key)
    secret = made["apiKey"]
    assert ask(house, secret).status_code == 200
    house.operator("api-key", "revoke", made["id"])
    house.catch_up()
    assert ask(house, secret).status_code == 401


def test_a_token_that_expires(app: App, browser: Browser, house: House) -> None:
    token = app.connect(browser)["access_token"]
    assert ask(house, token).status_code == 200
    house.turn_clock(seconds=3601)
    assert ask(house, token).status_code == 401


# Nothing else means yes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "DELETE", "PATCH"])
def test_only_get_is_answered(app: App, browser: Browser, house: House, method: str) -> None:
    """To a proxy any 2xx means yes; above all, a preflight must not get one here."""
    headers = {"Authorization": f"Bearer {app.connect(browser)['access_token']}", "Origin": "https://evil.example"}
    headers |= {"Access-Control-Request-Method": "POST"}
    response = http().request(method, f"{house.url}/forward-auth?resource={house.url}/mcp", headers=headers)
    assert response.status_code == 405


QUERIES = [
    "",
    "resource=",
    "scope=read",
    "resource=https://evil.example/mcp",
    "resource=nonsense",
    "resource={r}&resource={r}",
    "resource={r}&scope=read&scope=write",
    "resource={r}&scope=raed",
    "resource={r}&scope=tools:see",
    "resource={r}&access_token={t}",
    "resource={r}&page=2",
    "resource={r}&resource=" + TOOLS,
    "resource=&resource={r}",
    "resource={r}%00",
    "resource={r}%0d%0aX-Gatehouse-Subject:%20root",
    "resource=%ff",
    "resource={r}&" + "a=1&" * 100,
    "resource={r}&scope=" + "read+" * 10_000,
]


@pytest.mark.parametrize("query", QUERIES, ids=[query[:50] for query in QUERIES])
def test_a_configuration_that_is_wrong_lets_nobody_in(app: App, browser: Browser, house: House, query: str) -> None:
    """Also one that hands on the caller's own query, with which the caller would choose the resource and the scopes."""
    token = app.connect(browser)["access_token"]
    wanted = query.replace("{r}", f"{house.url}/mcp").replace("{t}", token)
    response = http().get(f"{house.url}/forward-auth?{wanted}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 400 or (query.endswith("read+") and response.status_code in (200, 431)), query
    assert "www-authenticate" not in response.headers, "no client signs in anew for this"


def test_what_the_caller_says_of_itself_is_not_heard(app: App, browser: Browser, house: House) -> None:
    token = app.connect(browser, scope="read")["access_token"]
    forged = {
        "X-Gatehouse-Subject": "root",
        "X-Gatehouse-Scope": "admin",
        "X_Gatehouse_Subject": "root",
        "X-Original-URL": "/forward-auth?resource=x",
        "X-HTTP-Method-Override": "OPTIONS",
        "Host": "tools.example.com",
        "Origin": "https://evil.example",
        "Cookie": f"token={token}",
    }
    url = f"{house.url}/forward-auth?resource={house.url}/mcp"
    assert http().get(url, headers=forged).status_code == 401
    response = http().get(url, headers=forged | {"Authorization": f"Bearer {token}"})
    assert (response.status_code, told(response)["scope"]) == (200, "read")
    assert told(response)["subject"] != "root"
    assert len(response.headers.get_list("x-gatehouse-subject")) == 1


def test_somebody_signed_in_with_a_cookie_is_nobody_here(app: App, browser: Browser, house: House) -> None:
    app.connect(browser)
    assert browser.http.get(f"{house.url}/forward-auth?resource={house.url}/mcp").status_code == 401


def test_two_tokens_are_none(app: App, browser: Browser, house: House) -> None:
    """Which of them the server behind would read, nobody can say. 401, since nginx makes 500 of 400."""
    token = app.connect(browser)["access_token"]
    url = f"{house.url}/forward-auth?resource={house.url}/mcp"
    two = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
    for sent in (two, two[::-1], [("Authorization", f"Bearer {token}, Bearer x")], [("Authorization", token)]):
        assert http().get(url, headers=sent).status_code == 401


def test_the_body_is_not_waited_for(app: App, browser: Browser, house: House) -> None:
    """nginx that was not told otherwise announces the body of the request that it asks about, and never sends it."""
    token, address = app.connect(browser)["access_token"], urlsplit(house.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as line:
        request = f"GET /forward-auth?resource={house.url}/mcp HTTP/1.0\r\nHost: anything\r\nAuthorization: Bearer {token}\r\n"
        line.sendall(f"{request}Content-Length: 100000\r\n\r\n".encode())
        assert b" 200 " in line.recv(4096).split(b"\r\n")[0]


def test_answers_promise_nothing_for_other_hosts(house: House, dsn: str, file: Path) -> None:
    """A proxy hands them on under another name: no HSTS for it and its subdomains."""
    secure = House(dsn, public_url="https://mcp.example.com", resources_file=file).start()
    try:
        path = f"{secure.url}/forward-auth?resource=https://mcp.example.com/mcp"
        assert "strict-transport-security" not in http().get(path).headers
        assert "strict-transport-security" in http().get(f"{secure.url}/healthz").headers
    finally:
        secure.stop()


# DPoP (RFC 9449 §7) --------------------------------------------------------------------------------------------------


@pytest.fixture
def holder(behind: House) -> Holder:
    behind.add_user()
    app = App(behind.url)
    app.register()
    return Holder(app, behind)


def forwarded(
    holder: Holder, token: str, proof: str | None, method: str = "POST", uri: str = "/mcp/x?page=2", **more: str
) -> httpx2.Response:
    sent = {"X-Forwarded-Method": method, "X-Forwarded-Uri": uri, "Authorization": f"DPoP {token}"} | more
    if proof is not None:
        sent["DPoP"] = proof
    return http().get(f"{holder.house.url}/forward-auth?resource={TOOLS}", headers=sent)


def proof(holder: Holder, token: str, method: str = "POST", url: str = "https://tools.example.com/mcp/x") -> str:
    return holder.proof(method, "/", token, htu=url)


def test_a_bound_token_is_proven_for_the_request_that_is_asked_about(holder: Holder, browser_behind: Browser) -> None:
    token = holder.tokens(browser_behind, resource=TOOLS, scope="tools:use")["access_token"]
    once = proof(holder, token)
    assert forwarded(holder, token, once).status_code == 200
    assert "used before" in forwarded(holder, token, once).json()["error_description"]
    for method, url in (
        ("GET", "https://tools.example.com/mcp/x"),
        ("POST", "https://tools.example.com/other"),
        ("POST", f"{holder.house.url}/mcp/x"),
        ("GET", f"{holder.house.url}/forward-auth"),
    ):
        response = forwarded(holder, token, proof(holder, token, method, url))
        assert (response.status_code, response.json()["error"]) == (401, "invalid_dpop_proof"), (method, url)
        assert response.headers["www-authenticate"].startswith("DPoP ")
    assert forwarded(holder, token, None).status_code == 401
    as_bearer = {"Authorization": f"Bearer {token}"}
    assert forwarded(holder, token, proof(holder, token), **as_bearer).status_code == 401


def test_the_callers_host_does_not_count(holder: Holder, browser_behind: Browser) -> None:
    """A proof that was made for another server of somebody else's is not good for this one."""
    token = holder.tokens(browser_behind, resource=TOOLS, scope="tools:use")["access_token"]
    theirs = proof(holder, token, "POST", "https://evil.example/mcp/x")
    hosts = {"X-Forwarded-Host": "evil.example", "Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert forwarded(holder, token, theirs, **hosts).status_code == 401
    assert forwarded(holder, token, proof(holder, token), **hosts).status_code == 200


@pytest.mark.parametrize("uri", ["", "mcp/x", "https://evil.example/x", "@evil.example/x", "\x7f"])
def test_an_address_that_is_none(holder: Holder, browser_behind: Browser, uri: str) -> None:
    token = holder.tokens(browser_behind, resource=TOOLS, scope="tools:use")["access_token"]
    assert forwarded(holder, token, proof(holder, token), uri=uri).status_code in (400, 401)


def test_two_of_them_are_none(holder: Holder, browser_behind: Browser) -> None:
    """The proxy adds its own to the caller's: nobody knows which is which."""
    token = holder.tokens(browser_behind, resource=TOOLS, scope="tools:use")["access_token"]
    sent = [("X-Forwarded-Method", "POST"), ("X-Forwarded-Uri", "/mcp/x"), ("Authorization", f"DPoP {token}")]
    sent += [("DPoP", proof(holder, token)), ("X-Forwarded-Uri", "/mcp/y")]
    url = f"{holder.house.url}/forward-auth?resource={TOOLS}"
    assert http().get(url, headers=sent).status_code == 401


def test_nobody_but_a_trusted_proxy_says_where_a_request_went(app: App, browser: Browser, house: House) -> None:
    holder = Holder(app, house)
    token = holder.tokens(browser, resource=TOOLS, scope="tools:use")["access_token"]
    response = forwarded(holder, token, proof(holder, token))
    assert response.status_code == 401
    assert "no trusted proxy says" in response.json()["error_description"]


@pytest.fixture
def browser_behind(behind: House) -> Browser:
    return Browser(behind.url)

"""Hostile input everywhere: the specification's word or a page, never a 500, a stack trace or half a row."""

from __future__ import annotations

import itertools
import socket
from urllib.parse import urlsplit

import pytest

from tests.actors import App, Browser, http
from tests.conftest import House

NASTY = [
    "\0",
    "\x00\x01",
    "%00",
    "é" * 500,
    "\u202e",
    "💥",
    "'; DROP TABLE users;--",
    "{{7*7}}",
    "<script>",
    "\r\nX: y",
    "9" * 400,
    "a" * 60_000,
]
FORMS = [
    "/authorize",
    "/token",
    "/revoke",
    "/introspect",
    "/par",
    "/device_authorization",
    "/device",
    "/device/decision",
    "/login",
    "/consent",
    "/setup",
    "/password",
    "/password/forgot",
    "/login/link",
    "/login/link/open",
    "/sign-up",
    "/sign-up/verify",
    "/invitation",
    "/account/email",
    "/account/email/verify",
    "/logout",
    "/account/api-keys",
    "/account/connections/revoke",
    "/account/api-keys/revoke",
    "/account/api-keys/rotate",
    "/account/allowed/forget",
    "/account/sessions/end",
    "/account/profile",
    "/account/export",
    "/account/delete",
]
JSON = ["/register", "/auth/token", "/api-keys"]
PAGES = [
    "/authorize",
    "/authorize/continue",
    "/device",
    "/login",
    "/login/link",
    "/login/link/open",
    "/consent",
    "/setup",
    "/password",
    "/password/forgot",
    "/sign-up",
    "/sign-up/verify",
    "/invitation",
    "/account",
    "/account/email",
    "/account/email/verify",
    "/",
]
FIELDS = [
    "client_id",
    "redirect_uri",
    "request_uri",
    "user_code",
    "entered",
    "device_code",
    "state",
    "scope",
    "req",
    "csrf",
    "code",
    "email",
    "password",
    "grant_type",
    "token",
    "id",
    "name",
    "resource",
    "login_hint",
    "language",
    "redirect_host",
    "grace",
    "expires",
    "after",
    "done",
]


def harmless(response: object) -> None:
    assert response.status_code < 500, response.text  # type: ignore[attr-defined]
    assert "Traceback" not in response.text  # type: ignore[attr-defined]
    assert response.headers["x-request-id"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", FORMS)
def test_no_form_field_breaks_anything(house: House, browser: Browser, path: str) -> None:
    """With a session and a right csrf token, so that the fields are really looked at."""
    house.add_user()
    csrf = browser.sign_in().field("csrf")
    for nasty in NASTY:
        fields = dict.fromkeys(FIELDS, nasty) | {"csrf": csrf}
        harmless(browser.http.post(house.url + path, data=fields))
    harmless(
        browser.http.post(
            house.url + path, content=b"\xff\xfe=\x00", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
    )
    harmless(browser.http.post(house.url + path))


@pytest.mark.parametrize("path", PAGES)
def test_no_query_breaks_anything(app: App, house: House, path: str) -> None:
    client = http()
    for nasty, name in itertools.product(NASTY[:-1], FIELDS):
        harmless(client.get(house.url + path, params={"client_id": app.client_id} | {name: nasty}))
    harmless(client.get(house.url + path + "?%ff=%fe&a=%"))


@pytest.mark.parametrize("path", JSON)
def test_no_json_breaks_anything(house: House, browser: Browser, path: str) -> None:
    house.add_user()
    browser.sign_in()
    others: list[object] = [None, [], {}, 1, 1.5, True, [[[]]], {"a": {"b": {}}}]
    for nasty in [*NASTY, *others]:
        body = dict.fromkeys(("apiKey", "name", "scopes", "client_name", "redirect_uris", "scope", "expiresIn"), nasty)
        harmless(browser.http.post(house.url + path, json=body))
    for raw in (b"", b"{", b"\xff", b"[" * 10_000, b"nul", b'"\\ud800"', b'{"a":1e9999}'):
        harmless(browser.http.post(house.url + path, content=raw, headers={"Content-Type": "application/json"}))


def test_unknown_addresses_answer_as_they_are_asked(house: House) -> None:
    as_json = http().get(f"{house.url}/nothing/here")
    assert (as_json.status_code, as_json.json()["error"]) == (404, "not_found")
    as_page = http().get(f"{house.url}/nothing/here", headers={"Accept": "text/html"})
    assert (as_page.status_code, as_page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert as_page.headers["x-request-id"] in as_page.text, "the id that people quote is the one in the log"
    for path in ("/mcp/x", "/mcp//", "//mcp", "/MCP", "/token/", "/static/../app/main.py", "/static/base.html"):
        assert http().get(house.url + path).status_code == 404, path


def raw_request(house: House, *lines: str, body: bytes = b"") -> bytes:
    """What no client library would send."""
    host = urlsplit(house.url)
    with socket.create_connection(("127.0.0.1", host.port or 0), 5) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        connection.settimeout(3)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
                if b"\r\n\r\n" in received:
                    break
        except TimeoutError:
            pass
        return received


def test_a_smuggled_request_is_not_served(house: House) -> None:
    """RFC 9112 §6.3: Content-Length with Transfer-Encoding."""
    host = urlsplit(house.url).netloc
    answer = raw_request(
        house,
        "POST /mcp HTTP/1.1",
        f"Host: {host}",
        "Content-Length: 4",
        "Transfer-Encoding: chunked",
        body=b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_two_hosts_or_none_do_not_reach_the_tools(house: House) -> None:
    host = urlsplit(house.url).netloc
    two = raw_request(house, "POST /mcp HTTP/1.1", f"Host: {host}", "Host: evil.example", "Content-Length: 0")
    none = raw_request(house, "POST /mcp HTTP/1.0", "Content-Length: 0")
    assert two.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    assert none.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))


def test_a_body_that_never_comes_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds; here a third of one. The head of the body makes no difference."""
    monkeypatch.setattr("app.bodies.BODY_SECONDS", 0.3)
    head = [
        "POST /token HTTP/1.1",
        f"Host: {urlsplit(house.url).netloc}",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 100",
    ]
    for body in (b"", b"grant_type="):
        answer = raw_request(house, *head, body=body)
        assert answer.startswith(b"HTTP/1.1 408"), answer
    assert http().get(f"{house.url}/healthz").status_code == 200


def test_a_huge_declared_body_is_refused_before_it_comes(house: House) -> None:
    answer = raw_request(
        house,
        "POST /token HTTP/1.1",
        f"Host: {urlsplit(house.url).netloc}",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: 1073741824",
    )
    assert answer.startswith(b"HTTP/1.1 413")

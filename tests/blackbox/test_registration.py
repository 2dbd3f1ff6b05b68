"""Checks 11 to 19: dynamic registration as real clients do it (RFC 7591)."""

from __future__ import annotations

import re
from typing import Any

import httpx2

from app.settings.read import Settings
from tests.actors import App, Browser, http
from tests.conftest import House

PYTHON_SDK = {
    "response_types": ["code"],
    "scope": "read offline_access",
    "client_name": "py",
    "redirect_uris": ["http://127.0.0.1:3030/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "application_type": "native",
}
CLAUDE = "https://claude.ai/api/mcp/auth_callback"
CURSOR = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "http://localhost:8787/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
]
VS_CODE = [
    "https://insiders.vscode.dev/redirect",
    "https://vscode.dev/redirect",
    "http://127.0.0.1/",
    "http://127.0.0.1:33418/",
]


def registered(house: House, **metadata: Any) -> dict[str, Any]:
    answer = http().post(f"{house.url}/register", json=metadata)
    assert answer.status_code == 201, answer.text
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")
    assert "null" not in answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_client_that_names_no_method_gets_a_secret(house: House) -> None:
    """Check 11, AS-1, CIMD-17: RFC 7591 §2 and §3.2.1; the secret needs no encoding in Basic credentials."""
    answer = registered(house, **PYTHON_SDK)
    assert {name: answer[name] for name in PYTHON_SDK} == PYTHON_SDK
    assert answer["token_endpoint_auth_method"] == "client_secret_basic"
    assert re.fullmatch("[A-Za-z0-9_-]{40,}", answer["client_secret"])
    assert answer["client_secret_expires_at"] == 0
    assert re.fullmatch("[A-Za-z0-9_-]+", answer["client_id"])


def test_a_public_client_gets_no_secret(house: House) -> None:
    """Check 12, AS-1: RFC 7591 §2."""
    answer = registered(house, **PYTHON_SDK, token_endpoint_auth_method="none")
    assert answer["token_endpoint_auth_method"] == "none"
    assert not {"client_secret", "client_secret_expires_at"} & set(answer)


def test_claude_may_register_twice_and_use_both(house: House, browser: Browser) -> None:
    """Check 13: two clients, each with a secret that works."""
    house.add_user()
    apps = [App(house.url, redirect_uri=CLAUDE) for _ in range(2)]
    for app in apps:
        assert app.register(token_endpoint_auth_method="client_secret_post", client_name="Claude")["client_secret"]
    assert apps[0].client_id != apps[1].client_id
    for app in apps:
        assert app.call("whoami", app.connect(browser)["access_token"]).status_code == 200


def test_cursor_keeps_all_its_addresses_whatever_it_calls_itself(house: House) -> None:
    """Check 14, AS-14, DCR-1: RFC 8252 §7.1; one address of three must not spoil the others."""
    for kind in ("web", "native", "something else"):
        answer = registered(house, redirect_uris=CURSOR, application_type=kind, client_name="Cursor")
        assert (answer["redirect_uris"], answer["application_type"]) == (CURSOR, kind)


def test_an_unsupported_grant_is_dropped(house: House) -> None:
    """Check 15, AS-18: VS Code; RFC 7591 §3.2.1. ChatGPT takes no answer without refresh_token."""
    device = "urn:ietf:params:oauth:grant-type:device_code"
    asked = ["authorization_code", device, "urn:example:unheard-of", "password"]
    answer = registered(house, redirect_uris=VS_CODE, grant_types=asked, token_endpoint_auth_method="none")
    assert answer["redirect_uris"] == VS_CODE
    assert set(answer["grant_types"]) == {"authorization_code", "refresh_token", device}


def test_a_redirect_uri_that_leads_nowhere_good_is_refused(house: House) -> None:
    """Check 16, AS-14, AS-16: RFC 7591 §3.2.2."""
    bad = ["http://evil.example/cb", "javascript:alert(1)", "https://a/cb#f", "data:text/html,x", "file:///etc/passwd"]
    for uris in ([], *([uri] for uri in bad), *(["https://good.example/cb", uri] for uri in bad)):
        answer = http().post(f"{house.url}/register", json={"redirect_uris": uris})
        assert (answer.status_code, answer.json().get("error")) == (400, "invalid_redirect_uri"), uris


def test_what_is_no_registration_is_a_json_error(house: House) -> None:
    """Check 17: RFC 7591 §3.2.2."""
    bodies = {
        b"redirect_uris=x": 400,
        b"[]": 400,
        b'{"redirect_uris":"http://127.0.0.1/"}': 400,
        b'{"redirect_uris":["http://127.0.0.1/"],"x":"' + b"y" * 1_000_000 + b'"}': 413,
    }
    for body, status in bodies.items():
        answer = http().post(f"{house.url}/register", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, body[:50]
        assert answer.json()["error"].startswith("invalid_")


def test_two_hundred_registrations_in_a_minute_are_too_many(dsn: str, house: House) -> None:
    """Check 18: RFC 6585 §4, with the limit that is set where nothing is said; nobody else waits for it."""
    behind = House(
        dsn, register_per_minute=Settings.model_fields["register_per_minute"].default, trusted_proxies="127.0.0.1/32"
    ).start()
    client = http()

    def register(number: int, address: str) -> httpx2.Response:
        document = {"redirect_uris": ["http://127.0.0.1/"], "client_name": str(number)}
        return client.post(f"{behind.url}/register", json=document, headers={"X-Forwarded-For": address})

    try:
        answers = [register(number, "203.0.113.1") for number in range(200)]
        other = register(1, "203.0.113.2")
        assert client.get(f"{behind.url}/.well-known/oauth-authorization-server").status_code == 200
    finally:
        behind.stop()
    assert {answer.status_code for answer in answers} == {201, 429}
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert other.status_code == 201


def test_what_is_unknown_is_ignored(house: House, browser: Browser) -> None:
    """Check 19: RFC 7591 §2; and the scopes that are known still count."""
    house.add_user()
    app = App(house.url)
    answer = app.register(scope="read mcp:everything", software_statement="x", x_vendor={"deep": [1, {"er": True}]})
    assert answer["x_vendor"] == {"deep": [1, {"er": True}]}
    assert app.connect(browser)["scope"] == "read"

"""RFC 7591: dynamic client registration, as real clients do it and as nobody should."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from tests.actors import CALLBACK, App, Browser, http
from tests.conftest import House

BAD_URIS = [
    "http://evil.example/cb",
    "http://127.0.0.1.evil.example/cb",
    "http://localhost.evil.example/",
    "http://127.0.0.1@evil.example/",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "vbscript:x",
    "microsoft-edge:https://evil.example/",
    "microsoft-edge-https://evil.example/",
    "googlechrome://evil.example/",
    "googlechromes://evil.example/",
    "googlechrome-x-callback://x-callback-url/open/?url=https%3A%2F%2Fevil.example",
    "x-safari-https://evil.example/",
    "x-safari-http://evil.example/",
    "firefox://open-url?url=https%3A%2F%2Fevil.example",
    "brave://open-url?url=https%3A%2F%2Fevil.example",
    "opera-http://evil.example/",
    "touch-https://evil.example/",
    "blob:https://a/b",
    "about:blank",
    "https://a.example/cb#f",
    "https://user:pass@a.example/cb",
    "https://",
    "https:///path",
    "https:a.example",
    "https://a.example:99999/",
    "https://a.example/ b",
    'https://a.example/"',
    "https://a.example/<script>",
    "https://a.example/\\",
    "https://ä.example/",
    "https://a.example/\u0000",
    "https://a.example/\nx",
    "https://a.example/" + "x" * 1000,
    "app:",
    "1app:/cb",
    "//a.example/cb",
    "cb",
    "",
]


def test_everything_is_echoed_and_nothing_is_null(house: House) -> None:
    """§3.2.1; the body is what the Python SDK sends."""
    sent = {
        "response_types": ["code"],
        "scope": "read offline_access",
        "client_name": "py",
        "redirect_uris": ["http://127.0.0.1:3030/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "application_type": "native",
        "software_id": None,
        "anything": {"else": [1]},
    }
    response = http().post(f"{house.url}/register", json=sent)
    answer = response.json()
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert {name: answer[name] for name in sent if sent[name] is not None} == {
        n: v for n, v in sent.items() if v is not None
    }
    assert None not in answer.values()
    assert answer["token_endpoint_auth_method"] == "client_secret_basic"  # §2: the default
    assert answer["client_secret"].startswith("gh_cs_")
    assert answer["client_secret_expires_at"] == 0
    assert not answer["client_id"].startswith("https://")
    assert answer["client_id_issued_at"] > 1_700_000_000


def test_refresh_tokens_are_for_everybody(app: App, browser: Browser) -> None:
    """The seed registers without; its users had to sign in every hour."""
    assert app.register(grant_types=["authorization_code"])["grant_types"] == ["authorization_code", "refresh_token"]
    assert "refresh_token" in app.connect(browser)
    grants = ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]
    assert app.register(grant_types=[*grants, "password"])["grant_types"] == [grants[0], "refresh_token", grants[1]]


def test_cursor_keeps_all_its_addresses(app: App, browser: Browser) -> None:
    """RFC 8252 §7.1: private-use schemes are for apps."""
    uris = [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
    ]
    assert app.register(redirect_uris=uris, application_type="web")["redirect_uris"] == uris
    app.redirect_uri = uris[0]
    page = browser.open(app.authorize_url())
    page = browser.sign_in(page)
    assert "cursor://" in page.text
    left_to = browser.decide(page).left_to
    assert left_to is not None
    assert left_to.startswith(uris[0] + "?code=gh_code_")


@pytest.mark.parametrize("name", ["client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri"])
def test_a_link_that_is_empty_is_none(app: App, name: str) -> None:
    """§2: some clients send every field of a form, those that were left empty too; as `null` it is not there."""
    assert name not in app.register(**{name: ""})
    assert name not in app.register(**{name: None})


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://127.0.0.1:0/cb", "has a port out of range"),
        ("http://localhost:65536/cb", "has a port out of range"),
        ("http://[::1]:999999/cb", "has a port out of range"),
        ("https://app.example:0/cb", "has a port out of range"),
        ("http://localhost:port/cb", "is not a URI"),
        ("http://app.example:0/cb", "is plain http and not on loopback"),
        ("HTTP://localhost/cb", "has a scheme that is not in lower case"),
        ("Https://app.example/cb", "has a scheme that is not in lower case"),
        ("Cursor://x/cb", "has a scheme that is not in lower case"),
        ("JavaScript:alert(1)", "has a scheme that is not allowed"),
        ("1x://x/cb", "has a scheme that is not allowed"),
    ],
)
def test_a_bad_redirect_uri_is_told_what_is_bad_about_it(house: House, uri: str, why: str) -> None:
    answer = http().post(f"{house.url}/register", json={"redirect_uris": [uri]}).json()
    assert answer["error"] == "invalid_redirect_uri"
    assert answer["error_description"].startswith(f"{uri} {why}; use https")


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_bad_redirect_uri_is_refused(house: House, uri: str) -> None:
    """§3.2.2 invalid_redirect_uri: https, http on loopback, or an app's scheme."""
    for uris in ([uri], [CALLBACK, uri]):
        response = http().post(f"{house.url}/register", json={"redirect_uris": uris})
        assert response.status_code == 400
        assert response.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")
    assert house.sql("SELECT count(*) FROM clients") == [(0,)]


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uris": []},
        {"redirect_uris": None},
        {"redirect_uris": "http://127.0.0.1/"},
        {"redirect_uris": [1]},
        {"redirect_uris": [CALLBACK] * 11},
        {"client_name": 5},
        {"client_name": ["x"]},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": 7},
        {"grant_types": "authorization_code"},
        {"grant_types": ["password"]},
        {"grant_types": [{}]},
        {"response_types": ["token"]},
        {"response_types": 1},
        {"scope": ["read"]},
        {"client_uri": "javascript:alert(1)"},
        {"logo_uri": 1},
        {"x": 10**30},
        {"x": "\0"},
        {"x\0": "y"},
    ],
)
def test_bad_metadata_is_refused(house: House, change: dict[str, Any]) -> None:
    response = http().post(f"{house.url}/register", json={"redirect_uris": [CALLBACK]} | change)
    assert response.status_code == 400
    assert response.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{",
        b"\xff",
        b'{"redirect_uris":["http://127.0.0.1/"],"client_name":"\\ud800"}',
        b'{"redirect_uris":["http://127.0.0.1/"],"x":1e999}',
        b'{"redirect_uris":["http://127.0.0.1/"],"x":NaN}',
        b'{"redirect_uris":["http://127.0.0.1/"],"x":' + b"9" * 5000 + b"}",
        b'{"redirect_uris":["http://127.0.0.1/"],"x":' + b"[" * 50 + b"]" * 50 + b"}",
        b'{"a":' * 5000,
    ],
)
def test_garbage_is_refused(house: House, body: bytes) -> None:
    response = http().post(f"{house.url}/register", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")
    assert response.headers["x-request-id"]


def test_a_huge_registration_is_cut_off(house: House) -> None:
    response = http().post(f"{house.url}/register", json={"redirect_uris": [CALLBACK], "x": "y" * 50_000})
    assert response.status_code == 413


def test_identical_public_registrations_are_one_client(app: App) -> None:
    """Claude registers on every connection; forty-two rows would help nobody."""
    assert app.register()["client_id"] == app.register()["client_id"]
    assert app.register(client_name="Other")["client_id"] != app.register()["client_id"]
    one, two = (app.register(token_endpoint_auth_method="client_secret_post") for _ in range(2))
    assert one["client_id"] != two["client_id"]


def test_a_name_cannot_hide_or_turn_what_stands_beside_it(app: App) -> None:
    assert app.register(client_name="Qu\u202eill\u200b\n\x07")["client_name"] == "Quill"
    assert app.register(client_name="\u202e")["client_name"] == "MCP Client"
    assert len(app.register(client_name="x" * 3000)["client_name"]) == 100


def test_a_client_cannot_choose_its_id_or_secret(app: App) -> None:
    """§3.2.1."""
    answer = app.register(client_id="mine", client_secret="mine", client_id_issued_at=1)
    assert answer["client_id"] != "mine"
    assert "client_secret" not in answer
    assert answer["client_id_issued_at"] > 1


def test_a_flood_from_one_address_is_slowed(dsn: str, house: House) -> None:
    """429 too_many_requests with Retry-After, as the seed has it."""
    small = House(dsn, secret_key=house.settings.secret_key, register_per_minute=3).start()
    try:
        answers = [http().post(f"{small.url}/register", json={"redirect_uris": [CALLBACK]}) for _ in range(4)]
    finally:
        small.stop()
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert answers[-1].json()["error"] == "too_many_requests"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60


def test_there_is_room_for_so_many_that_nobody_uses(dsn: str, house: House) -> None:
    """403 client_limit_exceeded, as the seed has it; those in use do not count, and a day makes room."""
    small = House(dsn, secret_key=(SecretStr("x" * 40), *house.settings.secret_key), max_unused_clients=2).start()
    try:

        def register(name: str) -> int:
            document = {"redirect_uris": [CALLBACK], "client_name": name, "token_endpoint_auth_method": "none"}
            return http().post(f"{small.url}/register", json=document).status_code

        assert [register("a"), register("b"), register("c")] == [201, 201, 403]
        assert register("a") == 201, "it is there already, and needs no room"
        house.sql("UPDATE clients SET last_used_at = now() WHERE client_name = 'a'")
        assert register("c") == 201
    finally:
        small.stop()

"""Scripts: an API key, traded for a token or sent as it is (seed 001)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from tests.actors import App, Browser, http
from tests.conftest import House


def trade(house: House, body: Any) -> tuple[int, Any]:
    response = http().post(f"{house.url}/auth/token", json=body)
    return response.status_code, response.json()


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded


@pytest.fixture
def key(house: House, browser: Browser) -> dict[str, Any]:
    """Made by a signed-in user: read and write, no end."""
    house.add_user()
    browser.sign_in()
    made: dict[str, Any] = browser.http.post(f"{house.url}/api-keys", json={"name": "laptop"}).json()
    return made


def test_the_exchange_is_the_seeds_byte_for_byte(house: House, key: dict[str, Any]) -> None:
    response = http().post(f"{house.url}/auth/token", json={"apiKey": key["apiKey"]})
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["token", "expiresIn"]
    assert answer["expiresIn"] == 3600
    said = claims(answer["token"])
    assert (said["via"], said["kid"], said["scopes"], said["scope"]) == (
        "api_key",
        key["id"],
        ["read", "write"],
        "read write",
    )
    assert App(house.url).call("whoami", answer["token"]).json()["result"]["structuredContent"]["via"] == "api_key"


def test_every_bad_key_gets_one_answer(house: House, browser: Browser, key: dict[str, Any]) -> None:
    made = browser.http.post(f"{house.url}/api-keys", json={"name": "short", "expiresIn": "45m"}).json()
    house.turn_clock(minutes=46)
    browser.http.delete(f"{house.url}/api-keys/{key['id']}")
    bad: list[Any] = [
        key["apiKey"],
        made["apiKey"],
        key["apiKey"][:-1] + "x",
        "",
        "gh_key_",
        None,
        1,
        [],
        {},
        "é",
        "x" * 9000,
    ]
    for value in bad:
        assert trade(house, {"apiKey": value}) == (401, {"error": "Invalid credentials"}), value
    assert trade(house, {}) == (401, {"error": "Invalid credentials"})
    assert trade(house, []) == (401, {"error": "Invalid credentials"})
    assert http().post(f"{house.url}/auth/token?apiKey={key['apiKey']}", json={}).status_code == 401
    assert (
        http().post(f"{house.url}/auth/token", content=b"{", headers={"Content-Type": "application/json"}).status_code
        == 400
    )


def test_guessing_keys_is_slowed(house: House) -> None:
    statuses = [trade(house, {"apiKey": "gh_key_" + "x" * 43})[0] for _ in range(32)]
    assert statuses == [401] * 30 + [429] * 2


def test_a_key_is_shown_once_and_listed_with_its_last_use(house: House, browser: Browser, key: dict[str, Any]) -> None:
    assert key["apiKey"].startswith("gh_key_")
    assert key["scopes"] == ["read", "write"]
    trade(house, {"apiKey": key["apiKey"]})
    house.wait_for(house.world.last_used.flush())
    listed = browser.http.get(f"{house.url}/api-keys").json()["keys"]
    assert [entry["name"] for entry in listed] == ["laptop"]
    assert "lastUsedAt" in listed[0]
    assert "apiKey" not in listed[0]


def test_a_key_works_on_mcp_as_it_is_and_ends_within_a_second(
    house: House, browser: Browser, key: dict[str, Any]
) -> None:
    app = App(house.url)
    token = trade(house, {"apiKey": key["apiKey"]})[1]["token"]
    for bearer in (key["apiKey"], token):
        assert app.call("whoami", bearer).json()["result"]["structuredContent"]["client"] == key["id"]
    assert browser.http.delete(f"{house.url}/api-keys/{key['id']}").status_code == 204
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and {app.call("whoami", b).status_code for b in (key["apiKey"], token)} != {401}:
        pass
    assert {app.call("whoami", bearer).status_code for bearer in (key["apiKey"], token)} == {401}


def test_a_token_never_outlives_its_key(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    made = browser.http.post(
        f"{house.url}/api-keys", json={"name": "short", "expiresIn": "10m", "scopes": ["read"]}
    ).json()
    answer = trade(house, {"apiKey": made["apiKey"]})[1]
    assert answer["expiresIn"] <= 600
    app = App(house.url)
    assert app.call("add_note", made["apiKey"], text="x").status_code == 403
    house.turn_clock(minutes=11)
    assert app.call("whoami", answer["token"]).status_code == 401
    assert app.call("whoami", made["apiKey"]).status_code == 401


def test_only_the_owners_keys_are_seen_or_ended(house: House, browser: Browser, key: dict[str, Any]) -> None:
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    assert bob.http.get(f"{house.url}/api-keys").json() == {"keys": []}
    assert bob.http.delete(f"{house.url}/api-keys/{key['id']}").status_code == 404
    assert bob.http.post(f"{house.url}/api-keys", json={"name": "x", "userId": "usr_1"}).status_code == 400
    assert trade(house, {"apiKey": key["apiKey"]})[0] == 200


def test_without_a_session_or_the_right_scope_there_is_nothing(house: House, app: App, browser: Browser) -> None:
    url = f"{house.url}/api-keys"
    assert http().get(url).status_code == 401
    token = app.connect(browser)["access_token"]
    assert app.http.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert app.http.get(url, headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_a_token_with_the_scope_makes_keys_that_reach_no_further(house: House, app: App, browser: Browser) -> None:
    token = app.connect(browser, scope="read api_keys")["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    url = f"{house.url}/api-keys"
    assert (
        app.http.post(url, json={"name": "x", "scopes": ["write"]}, headers=bearer).json()["error"] == "invalid_scope"
    )
    made = app.http.post(url, json={"name": "x", "scopes": ["read"]}, headers=bearer)
    assert made.status_code == 201
    assert app.http.delete(f"{url}/{made.json()['id']}", headers=bearer).status_code == 204


def test_another_site_cannot_make_a_key(house: House, browser: Browser) -> None:
    """No form reaches it, and the Origin of a script tells."""
    house.add_user()
    browser.sign_in()
    url = f"{house.url}/api-keys"
    assert browser.http.post(url, json={"name": "x"}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert browser.http.post(url, json={"name": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.http.post(url, content='{"name":"x"}', headers={"Content-Type": "text/plain"}).status_code == 400
    assert browser.http.get(url).json() == {"keys": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "\u200b"},
        {"name": "x" * 101},
        {"name": 5},
        {"name": "x", "scopes": "read"},
        {"name": "x", "scopes": ["admin"]},
        {"name": "x", "expiresIn": "soon"},
        {"name": "x", "expiresIn": "-1d"},
        {"name": "x", "expiresIn": 30},
        [],
        None,
    ],
)
def test_a_bad_wish_is_refused(house: House, browser: Browser, body: Any) -> None:
    house.add_user()
    browser.sign_in()
    response = browser.http.post(f"{house.url}/api-keys", json=body)
    assert response.status_code == 400
    assert response.json()["error"] in ("invalid_request", "invalid_scope")


def test_the_account_page_makes_and_ends_keys_and_apps(house: House, app: App, browser: Browser) -> None:
    tokens = app.connect(browser)
    page = browser.open("/account")
    assert "Quill" in page.text
    made = browser.send("/account/api-keys", csrf=page.field("csrf"), name="cron", scope="read", expires="30d")
    secret = made.text.split('readonly value="')[1].split('"')[0]
    assert app.call("whoami", secret).status_code == 200
    assert secret not in browser.open("/account/api-keys").text
    connection = browser.open("/account").text.split('name="id" value="con_')[1].split('"')[0]
    browser.send("/account/connections/revoke", csrf=page.field("csrf"), id=f"con_{connection}")
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert "Quill" not in browser.open("/account").text
    key = browser.open("/account/api-keys").text.split("/revoke?id=key_")[1].split('"')[0]
    browser.send("/account/api-keys/revoke", csrf=page.field("csrf"), id=f"key_{key}")
    house.catch_up()
    assert app.call("whoami", secret).status_code == 401
    refused = browser.send("/account/api-keys", csrf=page.field("csrf"), name="", expires="30d")
    assert refused.status == 400


@pytest.mark.parametrize("scopes", [None, ["read"], ["api_keys"]])
def test_a_session_makes_a_key_only_soon_after_signing_in(
    house: House, browser: Browser, scopes: list[str] | None
) -> None:
    """RFC 9470 §3, as on the account page: a key outlives the browser that was left open."""
    house.add_user()
    browser.sign_in()
    house.turn_clock(minutes=16)
    late = browser.http.post(f"{house.url}/api-keys", json={"name": "laptop"} | ({"scopes": scopes} if scopes else {}))
    assert (late.status_code, late.json()["error"]) == (403, "insufficient_user_authentication")
    assert browser.http.get(f"{house.url}/api-keys").json() == {"keys": []}
    browser.sign_in()
    made = browser.http.post(f"{house.url}/api-keys", json={"name": "laptop", "scopes": ["read", "api_keys"]}).json()
    house.turn_clock(minutes=16)
    bearer = {"Authorization": f"Bearer {made['apiKey']}"}
    by_token = http().post(f"{house.url}/api-keys", json={"name": "x", "scopes": ["read"]}, headers=bearer)
    assert by_token.status_code == 201
    assert browser.http.delete(f"{house.url}/api-keys/{made['id']}").status_code == 204, "ending one is never late"


def test_a_key_made_by_a_key_ends_no_later(house: House, browser: Browser) -> None:
    """Else a key that leaked for a day is one for ever. The same for a token that the key was traded for."""
    house.add_user()
    browser.sign_in()
    wish = {"name": "a day", "scopes": ["read", "api_keys"], "expiresIn": "1d"}
    parent = browser.http.post(f"{house.url}/api-keys", json=wish).json()
    for bearer in (parent["apiKey"], trade(house, {"apiKey": parent["apiKey"]})[1]["token"]):
        headers = {"Authorization": f"Bearer {bearer}"}
        ends = {
            life: http()
            .post(
                f"{house.url}/api-keys",
                json={"name": "x", "scopes": ["read"]} | ({"expiresIn": life} if life else {}),
                headers=headers,
            )
            .json()["expiresAt"]
            for life in ("", "30d", "2h")
        }
        assert ends[""] == ends["30d"] == parent["expiresAt"]
        assert ends["2h"] < parent["expiresAt"]


def test_a_key_made_by_an_app_ends_no_later_than_its_connection(house: House, app: App, browser: Browser) -> None:
    app.register(scope="read api_keys")
    tokens = app.connect(browser, scope="read api_keys")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    made = http().post(f"{house.url}/api-keys", json={"name": "x", "scopes": ["read"]}, headers=headers)
    assert made.status_code == 201, made.text
    assert house.sql("SELECT k.expires_at = c.expires_at FROM api_keys k, connections c") == [(True,)]


def fill(house: House, many: int) -> None:
    house.sql(
        "INSERT INTO api_keys (id, user_id, name, fingerprint, scope, created_at) SELECT 'key_' || n, u.id, 'x',"
        " decode(md5(n::text), 'hex'), '{read}', now() FROM users u, generate_series(1, :many) n RETURNING id",
        many=many,
    )


def test_nobody_has_more_than_a_hundred_keys(house: House, browser: Browser, key: dict[str, Any]) -> None:
    fill(house, 99)
    full = browser.http.post(f"{house.url}/api-keys", json={"name": "one more"})
    assert (full.status_code, full.json()["error"]) == (409, "conflict")
    page = browser.open("/account/api-keys")
    said = browser.send("/account/api-keys", csrf=page.field("csrf"), name="one more", scope="read", expires="30d")
    assert (said.status, "You have 100 keys that work" in said.text) == (400, True)
    assert "has 100 keys that work" in house.operator("api-key", "add", "x", "--user", "ada@example.com", code=1)
    rotated = browser.send("/account/api-keys/rotate", csrf=page.field("csrf"), id=key["id"], grace="1d")
    assert "gh_key_" in rotated.text, "one in the place of another"
    for name in ("key_1", "key_2"):
        browser.send("/account/api-keys/revoke", csrf=page.field("csrf"), id=name)
    assert browser.http.post(f"{house.url}/api-keys", json={"name": "one more"}).status_code == 201


def test_keys_are_not_made_by_the_dozen(house: House, browser: Browser, key: dict[str, Any]) -> None:
    made = [browser.http.post(f"{house.url}/api-keys", json={"name": "x"}).status_code for _ in range(31)]
    assert made == [201] * 29 + [429] * 2
    page = browser.open("/account/api-keys")
    said = browser.send("/account/api-keys", csrf=page.field("csrf"), name="x", scope="read", expires="30d")
    assert said.status == 429
    house.turn_clock(minutes=61)
    browser.sign_in()
    assert browser.http.post(f"{house.url}/api-keys", json={"name": "x"}).status_code == 201

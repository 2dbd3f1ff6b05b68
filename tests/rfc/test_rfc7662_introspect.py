"""RFC 7662: what a token is worth, told to those whom it concerns and to nobody else."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from tests.actors import App, Browser
from tests.conftest import House

INACTIVE = {"active": False}


def ask(app: App, token: str | None, /, **fields: str | None) -> httpx2.Response:
    data = {"client_id": app.client_id, "client_secret": app.client_secret, "token": token} | fields
    return app.http.post(f"{app.url}/introspect", data={k: v for k, v in data.items() if v is not None})


def told(app: App, token: str) -> dict[str, Any]:
    response = ask(app, token)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = response.json()
    return answer


@pytest.fixture
def confidential(app: App) -> App:
    """The same app, with a secret of its own."""
    app.register(token_endpoint_auth_method="client_secret_basic")
    return app


@pytest.fixture
def api(house: House) -> App:
    """An API that the operator lets ask; no app, so without an address or a grant."""
    made = json.loads(house.operator("client", "add", "Notes API", "--introspect", "--json"))
    return App(house.url, client_id=made["client_id"], client_secret=made["client_secret"])


def test_an_access_token_is_told_in_full(confidential: App, browser: Browser, house: House) -> None:
    """§2.2; the claims are the token's own, the scope with what the broader words include."""
    token = confidential.connect(browser, scope="write")["access_token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert told(confidential, token) == {
        "active": True,
        "scope": "read write",
        "client_id": confidential.client_id,
        "username": "ada@example.com",
        "token_type": "Bearer",
        "exp": claims["iat"] + 3600,
        "iat": claims["iat"],
        "sub": claims["sub"],
        "aud": f"{house.url}/mcp",
        "iss": house.url,
        "jti": claims["jti"],
    }


def test_a_refresh_token_is_told_to_its_client(confidential: App, browser: Browser, house: House) -> None:
    """§2.2. Without a token_type and for the issuer: no API can take it for an access token."""
    tokens = confidential.connect(browser)
    answer = told(confidential, tokens["refresh_token"])
    assert answer["active"] is True
    assert (answer["aud"], answer["iss"], answer["username"]) == (house.url, house.url, "ada@example.com")
    assert answer["exp"] - answer["iat"] == house.settings.refresh_idle
    assert "token_type" not in answer
    assert answer["scope"] == "read write"


def test_asking_changes_nothing(confidential: App, browser: Browser, house: House) -> None:
    tokens = confidential.connect(browser)
    before = house.sql("SELECT refresh_counter, refreshed_at, last_used_at FROM connections")
    for token in (tokens["refresh_token"], tokens["access_token"]):
        told(confidential, token)
    assert house.sql("SELECT refresh_counter, refreshed_at, last_used_at FROM connections") == before


def test_an_api_learns_of_access_tokens_of_everybody(app: App, browser: Browser, api: App) -> None:
    """§2.1: the protected resource asks about what callers bring it."""
    tokens = app.connect(browser)
    assert told(api, tokens["access_token"])["username"] == "ada@example.com"
    assert told(api, tokens["refresh_token"]) == INACTIVE, "nobody may bring it a refresh token"


def test_an_api_knows_tokens_of_api_keys(house: House, api: App) -> None:
    house.add_user()
    key = house.operator("api-key", "add", "x", "--user", "ada@example.com", "--quiet").strip()
    token = api.http.post(f"{house.url}/auth/token", json={"apiKey": key}).json()["token"]
    answer = told(api, token)
    assert (answer["active"], answer["username"]) == (True, "ada@example.com")
    assert answer["client_id"].startswith("key_")


def test_another_client_learns_nothing(confidential: App, browser: Browser, house: House) -> None:
    """§4: not even that the token is alive."""
    tokens = confidential.connect(browser)
    other = App(house.url)
    other.register(client_name="Other", token_endpoint_auth_method="client_secret_post")
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert told(other, token) == INACTIVE


def test_an_api_is_no_app(api: App, browser: Browser) -> None:
    """It asks about tokens and gets none."""
    assert "not one that this app registered" in browser.open(api.authorize_url()).text
    assert api.redeem("x").json()["error"] == "unauthorized_client"


def test_only_the_operator_makes_an_api(app: App, browser: Browser, house: House) -> None:
    """Nobody registers themselves into everybody's tokens."""
    tokens = app.connect(browser)
    other = App(house.url)
    other.register(client_name="Nosy", token_endpoint_auth_method="client_secret_post", introspects=True)
    assert told(other, tokens["access_token"]) == INACTIVE
    assert "secret" in house.operator("client", "add", "x", "--introspect", "--public", code=2)
    assert "--redirect-uri" in house.operator("client", "add", "x", code=2)


@pytest.mark.parametrize("token", ["x", "gh_rt_x", "a.b.c", "é", "gh_key_x", "x" * 10_000, "eyJhbGciOiJub25lIn0.e30."])
def test_whatever_is_no_token_of_ours_is_inactive(confidential: App, token: str) -> None:
    """§2.2: an error would say more than it should."""
    assert told(confidential, token) == INACTIVE


def test_ends_are_known_at_once(confidential: App, browser: Browser, api: App, house: House) -> None:
    """§4: revoked, expired, superseded. The database is asked, so no replica is a second behind."""
    tokens = confidential.connect(browser)
    revoke = {"token": tokens["access_token"], "client_id": confidential.client_id}
    revoke |= {"client_secret": confidential.client_secret or ""}
    assert confidential.http.post(f"{house.url}/revoke", data=revoke).status_code == 200
    assert told(api, tokens["access_token"]) == INACTIVE
    again = confidential.refresh(tokens["refresh_token"]).json()
    assert told(confidential, again["refresh_token"])["active"] is True
    assert told(confidential, tokens["refresh_token"])["active"] is True, "the grace for a lost answer"
    house.turn_clock(seconds=31)
    assert told(confidential, tokens["refresh_token"]) == INACTIVE
    house.turn_clock(seconds=3570)
    assert told(api, again["access_token"]) == INACTIVE
    house.operator("user", "disable", "ada@example.com")
    assert told(confidential, again["refresh_token"]) == INACTIVE


def test_a_disabled_user_has_no_tokens(confidential: App, browser: Browser, api: App, house: House) -> None:
    token = confidential.connect(browser)["access_token"]
    assert told(api, token)["active"] is True
    house.operator("user", "disable", "ada@example.com")
    assert told(api, token) == INACTIVE


def test_who_does_not_prove_itself_is_refused(confidential: App, browser: Browser, house: House) -> None:
    """§2.1 and §2.3: 401 invalid_client; a public client has nothing to prove itself with."""
    token = confidential.connect(browser)["access_token"]
    public = App(house.url)
    public.register()
    for response in (
        ask(public, token),
        ask(confidential, token, client_secret="gh_cs_wrong"),
        ask(confidential, token, client_secret=None),
        ask(confidential, token, client_id=None),
        confidential.http.post(f"{house.url}/introspect", data={"token": token}),
    ):
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    missing = ask(confidential, None)
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")
    assert confidential.http.get(f"{house.url}/introspect?token={token}").status_code == 405
    assert "access-control-allow-origin" not in ask(confidential, token, token_type_hint="nonsense").headers

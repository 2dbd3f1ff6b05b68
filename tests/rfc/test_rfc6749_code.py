"""RFC 6749 §4.1 and OAuth 2.1 §4.1: the authorization code, from the request to its redemption."""

from __future__ import annotations

import base64

import pytest

from tests.actors import App, Browser
from tests.conftest import House


def test_a_code_becomes_tokens(app: App, browser: Browser) -> None:
    """§5.1: 200, no-store, token_type, expires_in, scope; and a refresh token."""
    response = app.redeem(app.code(browser))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 3600
    assert answer["scope"] == "read write"
    assert answer["refresh_token"].startswith("gh_rt_")
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}


def test_the_answer_carries_code_state_and_iss_once_each(app: App, browser: Browser) -> None:
    """§4.1.2 and RFC 9207 §2; `answer` itself fails on a repeated parameter."""
    state = "a b&code=evil#\r\n\u202e" + "x" * 1500
    page = browser.open(app.authorize_url(state=state))
    answer = browser.decide(browser.sign_in(page)).answer
    assert answer["state"] == state
    assert answer["iss"] == app.url
    assert set(answer) == {"code", "state", "iss"}


def test_second_use_of_a_code_takes_back_the_first(app: App, browser: Browser, house: House) -> None:
    """§4.1.2: the second use is denied, and the tokens of the first are revoked."""
    code = app.code(browser)
    tokens = app.redeem(code).json()
    again = app.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    house.catch_up()
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert house.sql("SELECT detail->>'because' FROM audit_events WHERE event = 'connection.revoked'") == [
        ("authorization code replay",)
    ]


def test_replay_with_a_wrong_verifier_takes_back_nothing(app: App, browser: Browser) -> None:
    """OAuth 2.1 §7.5.2: else whoever saw a code could log its owner out."""
    code = app.code(browser)
    tokens = app.redeem(code).json()
    assert app.redeem(code, code_verifier="x" * 43).json()["error"] == "invalid_grant"
    assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_a_failed_attempt_leaves_the_code_to_its_owner(app: App, browser: Browser, house: House) -> None:
    """§10.5: everything is checked before the code is spent."""
    code = app.code(browser)
    thief = App(house.url)
    thief.register(client_name="Thief")
    assert thief.redeem(code, code_verifier=app.code_verifier).json()["error"] == "invalid_grant"
    assert app.redeem(code, code_verifier="y" * 64).json()["error"] == "invalid_grant"
    assert app.redeem(code, redirect_uri="http://127.0.0.1:3030/other").json()["error"] == "invalid_grant"
    assert app.redeem(code, resource="https://elsewhere.example/mcp").json()["error"] == "invalid_target"
    assert app.redeem(code).status_code == 200


def test_a_code_ends_after_a_minute(app: App, browser: Browser, house: House) -> None:
    """§4.1.2: short-lived."""
    code = app.code(browser)
    house.turn_clock(seconds=61)
    assert app.redeem(code).json()["error"] == "invalid_grant"


def test_a_code_of_a_user_disabled_meanwhile_is_worth_nothing(app: App, browser: Browser, house: House) -> None:
    code = app.code(browser)
    house.sql("UPDATE users SET disabled_at = now()")
    assert app.redeem(code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("missing", ["code", "code_verifier", "grant_type"])
def test_a_missing_parameter_is_named(app: App, browser: Browser, missing: str) -> None:
    """§5.2 invalid_request."""
    response = app.redeem(app.code(browser), **{missing: None})
    assert response.status_code == 400
    said = response.json()
    assert (said["error"], said["error_description"]) == ("invalid_request", f"{missing} is missing")


@pytest.mark.parametrize("way", ["basic", "post", "basic with client_id"])
def test_a_client_with_a_secret_may_send_it_either_way(app: App, browser: Browser, way: str) -> None:
    """§2.3.1, whatever was registered: the seed registers basic and sends the form."""
    app.register(token_endpoint_auth_method="client_secret_basic")
    code = app.code(browser)
    if way == "post":
        assert app.redeem(code).status_code == 200
        return
    basic = base64.b64encode(f"{app.client_id}:{app.client_secret}".encode()).decode()
    client_id, app.client_secret = app.client_id, None
    app.client_id = client_id if way == "basic with client_id" else ""
    response = app.token(
        {"Authorization": f"Basic {basic}"},
        grant_type="authorization_code",
        code=code,
        code_verifier=app.code_verifier,
        redirect_uri=app.redirect_uri,
    )
    assert response.status_code == 200, response.text

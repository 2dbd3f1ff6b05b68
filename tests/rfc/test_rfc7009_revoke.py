"""RFC 7009: a client gives a token back."""

from __future__ import annotations

import time

import jwt

from app.tokens.keyring import KeyRing
from tests.actors import App, Browser
from tests.conftest import House


def revoke(app: App, token: str, **fields: str) -> int:
    data = {"token": token, "client_id": app.client_id} | fields
    return app.http.post(f"{app.url}/revoke", data=data).status_code


def within_a_second(app: App, token: str) -> bool:
    """Whether /mcp refuses the token before a second is over, with nobody helping."""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if app.call("whoami", token).status_code == 401:
            return True
    return False


def test_a_refresh_token_ends_its_connection(app: App, browser: Browser) -> None:
    """§2.1: and the access tokens of the same grant."""
    tokens = app.connect(browser)
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert revoke(app, tokens["refresh_token"], token_type_hint="access_token") == 200
    assert within_a_second(app, tokens["access_token"])
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_news_of_a_revocation_does_not_wait_for_the_poll(app: App, browser: Browser) -> None:
    """NOTIFY, not the look of every second behind it: eight in a row within a quarter of a second each."""
    page = app.authorize_url()
    browser.decide(browser.sign_in(browser.open(page)))
    for _ in range(8):
        token = app.redeem(browser.open(page).answer["code"]).json()["access_token"]
        assert revoke(app, token) == 200
        deadline = time.monotonic() + 0.25
        while app.call("whoami", token).status_code == 200:
            assert time.monotonic() < deadline


def test_a_revocation_that_was_long_in_coming_is_heard_among_many(app: App, browser: Browser, house: House) -> None:
    """One that was recorded half a minute before it was committed, while there is news all the time."""
    token = app.connect(browser)["access_token"]
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    assert app.call("whoami", token).status_code == 200
    house.sql(
        "INSERT INTO revocations (handle, revoked_at, expires_at, recorded_at) "
        "VALUES (:jti, now(), now() + interval '1 hour', now() - interval '30 seconds')",
        jti=jti,
    )
    deadline = time.monotonic() + 3
    while app.call("whoami", token).status_code == 200:
        house.sql("SELECT pg_notify('gatehouse', 'revoked')")
        assert time.monotonic() < deadline


def test_a_token_of_a_key_that_is_new_here_ends_too(app: App, browser: Browser, house: House) -> None:
    """Another replica has just made the key, and this one has not heard of it: it looks, before it says that it is done."""
    token = app.connect(browser)["access_token"]
    house.world.live.ring = KeyRing(())
    house.turn_clock(seconds=2)
    assert revoke(app, token) == 200
    assert within_a_second(app, token)


def test_an_access_token_ends_alone(app: App, browser: Browser) -> None:
    tokens = app.connect(browser)
    assert revoke(app, tokens["access_token"]) == 200
    assert within_a_second(app, tokens["access_token"])
    again = app.refresh(tokens["refresh_token"]).json()
    assert app.call("whoami", again["access_token"]).status_code == 200


def test_whatever_else_is_answered_with_200(app: App) -> None:
    """§2.2: an invalid token does not cause an error."""
    for token in ("x", "gh_rt_x", "a.b.c", "é", "x" * 10_000):
        assert revoke(app, token) == 200


def test_another_clients_token_is_left_alone(app: App, browser: Browser, house: House) -> None:
    """§2.1."""
    tokens = app.connect(browser)
    other = App(house.url)
    other.register(client_name="Other")
    assert revoke(other, tokens["refresh_token"]) == 200
    assert revoke(other, tokens["access_token"]) == 200
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    assert app.refresh(tokens["refresh_token"]).status_code == 200


def test_an_unknown_client_may_not_ask(app: App) -> None:
    """§2.1: the client is authenticated first."""
    assert revoke(app, "x", client_id="client_gone") == 401
    assert app.http.get(f"{app.url}/revoke").status_code == 405
    assert app.http.post(f"{app.url}/revoke", data={"client_id": app.client_id}).status_code == 400

"""A process remembers its clients, and still answers as if it did not: what another replica changes counts with the next request."""

from __future__ import annotations

import json

import pytest

from app.tokens.secrets import fingerprint
from tests.actors import App, Browser
from tests.conftest import House

BLOCK = "UPDATE clients SET blocked_at = now() WHERE client_id = :id"
UNBLOCK = "UPDATE clients SET blocked_at = NULL WHERE client_id = :id"
REMOVE = "UPDATE clients SET revoked_at = now() WHERE client_id = :id"
NO_REFRESH = "UPDATE clients SET grant_types = '{authorization_code}' WHERE client_id = :id"
SHORTER = "UPDATE clients SET access_lifetime = 77 WHERE client_id = :id"
NEW_SECRET = "UPDATE clients SET secret_fingerprint = :secret WHERE client_id = :id"


@pytest.fixture
def quill(app: App, browser: Browser) -> tuple[App, str]:
    """A client with a secret that has been here several times, and its refresh token."""
    app.register(token_endpoint_auth_method="client_secret_post")
    token = app.connect(browser)["refresh_token"]
    for _ in range(2):
        token = app.refresh(token).json()["refresh_token"]
    return app, token


@pytest.mark.parametrize(
    ("statement", "error", "status"),
    [(BLOCK, "unauthorized_client", 400), (REMOVE, "invalid_client", 401), (NO_REFRESH, "unauthorized_client", 400)],
)
def test_what_it_may_no_longer_do_is_refused_at_once(
    quill: tuple[App, str], house: House, statement: str, error: str, status: int
) -> None:
    app, token = quill
    house.sql(statement, id=app.client_id)
    garbage = app.refresh("gh_rt_" + "x" * 60)
    assert garbage.json()["error"] == error, "who asks is looked at first, whatever is sent"
    refused = app.refresh(token)
    assert (refused.status_code, refused.json()["error"]) == (status, error)


def test_a_refused_token_is_refused_as_ever(quill: tuple[App, str], house: House) -> None:
    app, _ = quill
    assert app.refresh("gh_rt_" + "x" * 60).json()["error"] == "invalid_grant"


def test_a_code_is_not_spent_for_a_client_that_was_blocked_meanwhile(
    quill: tuple[App, str], browser: Browser, house: House
) -> None:
    app, _ = quill
    code = app.code(browser)
    house.sql(BLOCK, id=app.client_id)
    assert app.redeem(code).json()["error"] == "unauthorized_client"
    house.sql(UNBLOCK, id=app.client_id)
    assert app.redeem(code).status_code == 200


def test_a_refresh_token_is_not_spent_either(quill: tuple[App, str], house: House) -> None:
    app, token = quill
    house.sql(BLOCK, id=app.client_id)
    assert app.refresh(token).status_code == 400
    house.sql(UNBLOCK, id=app.client_id)
    house.turn_clock(seconds=60)  # past the grace: it must be the present token still
    assert app.refresh(token).status_code == 200


def test_a_new_secret_replaces_the_old_one_at_once(quill: tuple[App, str], house: House) -> None:
    app, token = quill
    house.sql(NEW_SECRET, id=app.client_id, secret=fingerprint("the new one"))
    assert app.refresh(token).json()["error"] == "invalid_client"
    assert app.refresh(token, client_secret="the new one").status_code == 200
    assert app.refresh(token).json()["error"] == "invalid_client"


def test_other_lifetimes_hold_for_the_next_token(quill: tuple[App, str], house: House) -> None:
    app, token = quill
    house.sql(SHORTER, id=app.client_id)
    assert app.refresh(token).json()["expires_in"] == 77


def test_an_api_that_may_no_longer_ask_is_told_nothing(app: App, browser: Browser, house: House) -> None:
    token = app.connect(browser)["access_token"]
    made = json.loads(house.operator("client", "add", "Notes API", "--introspect", "--json"))
    fields = {"client_id": made["client_id"], "client_secret": made["client_secret"], "token": token}
    for _ in range(3):
        assert app.http.post(f"{app.url}/introspect", data=fields).json()["active"] is True
    house.sql("UPDATE clients SET introspects = false WHERE client_id = :id", id=made["client_id"])
    assert app.http.post(f"{app.url}/introspect", data=fields).json() == {"active": False}
    house.sql(REMOVE, id=made["client_id"])
    assert app.http.post(f"{app.url}/introspect", data=fields).status_code == 401

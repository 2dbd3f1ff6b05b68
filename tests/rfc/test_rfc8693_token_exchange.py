"""RFC 8693: a token for a narrower one, an API key for a token; never wider, never longer, gone with what it came from."""

from __future__ import annotations

from typing import Any

import httpx2
import jwt
import pytest

from app.protocol.types import Principal
from app.tokens.revoked import Revocations
from tests.actors import App, Browser, http
from tests.conftest import House

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
API_KEY = "urn:gatehouse:token-type:api-key"
GRANT_TYPES = ["authorization_code", "refresh_token", GRANT]


@pytest.fixture
def app(house: House) -> App:
    """A public client that registered for the grant."""
    house.add_user()
    app = App(house.url)
    app.register(grant_types=GRANT_TYPES)
    return app


@pytest.fixture
def agent(app: App) -> App:
    """Another client, which proves who it is."""
    agent = App(app.url)
    agent.register(grant_types=GRANT_TYPES, client_name="Agent", token_endpoint_auth_method="client_secret_post")
    return agent


@pytest.fixture
def key(app: App, browser: Browser) -> dict[str, Any]:
    browser.sign_in()
    made = browser.http.post(f"{app.url}/api-keys", json={"name": "cron", "scopes": ["write"], "expiresIn": "30m"})
    found: dict[str, Any] = made.json()
    return found


def exchange(app: App, subject_token: str, kind: str = ACCESS_TOKEN, /, **more: str | None) -> httpx2.Response:
    return app.token(grant_type=GRANT, subject_token=subject_token, subject_token_type=kind, **more)


def exchanged(app: App, subject_token: str, kind: str = ACCESS_TOKEN, /, **more: str | None) -> dict[str, Any]:
    response = exchange(app, subject_token, kind, **more)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def works(app: App, token: str, tool: str = "whoami", **arguments: str) -> int:
    return app.call(tool, token, None, **arguments).status_code


# A token for a token -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ACCESS_TOKEN, JWT])
def test_a_token_is_exchanged_for_a_narrower_one(app: App, browser: Browser, kind: str) -> None:
    """§2.1, §2.2.1: everything that the answer must have, and no refresh token."""
    whole = app.connect(browser)["access_token"]
    answer = exchanged(app, whole, kind, scope="read", requested_token_type=ACCESS_TOKEN)
    assert set(answer) == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert (answer["issued_token_type"], answer["token_type"], answer["scope"]) == (ACCESS_TOKEN, "Bearer", "read")
    assert works(app, answer["access_token"]) == 200
    assert works(app, answer["access_token"], "add_note", text="x") == 403
    assert works(app, whole, "add_note", text="x") == 200


def test_the_narrower_one_names_who_asked_for_it_and_whom_it_stands_for(app: App, agent: App, browser: Browser) -> None:
    """§4.3, RFC 9068 §2.2: the subject stays, the client is the one that exchanged it."""
    whole = app.connect(browser)["access_token"]
    before, after = claims(whole), claims(exchanged(agent, whole)["access_token"])
    assert after["client_id"] == agent.client_id
    assert after["via"] == "token_exchange"
    for name in ("iss", "sub", "aud", "connection"):
        assert after[name] == before[name]
    assert after["jti"] != before["jti"]


def test_without_a_scope_it_reaches_as_far_and_no_further(app: App, browser: Browser) -> None:
    whole = app.connect(browser, scope="read")["access_token"]
    assert exchanged(app, whole)["scope"] == "read"
    writes = app.connect(browser, scope="write", prompt="consent")["access_token"]
    assert exchanged(app, writes, scope="read")["scope"] == "read", "write includes it"


@pytest.mark.parametrize("scope", ["write", "read write", "read api_keys", "openid", "read bogus", "offline_access"])
def test_never_wider(app: App, browser: Browser, scope: str) -> None:
    """RFC 6749 §5.2 invalid_scope, for unknown words too: who narrows to hand on must get what they asked for."""
    token = app.connect(browser, scope="read")["access_token"]
    response = exchange(app, token, scope=scope)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")
    narrow = exchanged(app, app.connect(browser, scope="write read", prompt="consent")["access_token"], scope="read")
    assert exchange(app, narrow["access_token"], scope="write").json()["error"] == "invalid_scope", "nor back again"


def test_never_longer(app: App, browser: Browser, house: House) -> None:
    """The end of the first token is the end of all that came of it."""
    whole = app.connect(browser)["access_token"]
    house.turn_clock(seconds=3000)
    answer = exchanged(app, whole)
    assert 590 <= answer["expires_in"] <= 600
    again = exchanged(app, answer["access_token"])["access_token"]
    for token in (answer["access_token"], again):
        assert claims(token)["exp"] <= claims(whole)["exp"]
        assert works(app, token) == 200
    house.turn_clock(seconds=601)
    for token in (answer["access_token"], again):
        assert works(app, token) == 401
    assert exchange(app, whole).json()["error"] == "invalid_request"


@pytest.mark.parametrize("name", ["resource", "audience"])
def test_the_target_is_the_resource(app: App, browser: Browser, name: str) -> None:
    """§2.1, RFC 8707 §2."""
    token = app.connect(browser)["access_token"]
    assert exchanged(app, token, **{name: f"{app.url}/mcp/"})["scope"] == "read write"
    for foreign in ("https://other.example/mcp", f"{app.url}/mcp/other", "mcp", "x" * 5000):
        assert exchange(app, token, **{name: foreign}).json()["error"] == "invalid_target"


def test_targets_may_be_many(app: App, browser: Browser) -> None:
    """§2.1: both may be repeated; one that is foreign is one too many."""
    token = app.connect(browser)["access_token"]
    fields = f"grant_type={GRANT}&client_id={app.client_id}&subject_token={token}&subject_token_type={ACCESS_TOKEN}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    here = f"{app.url}/mcp"
    for more, status in (
        (f"&audience={here}&audience={app.url}&resource={here}", 200),
        (f"&audience={here}&audience=https://other.example", 400),
    ):
        assert http().post(f"{app.url}/token", content=fields + more, headers=form).status_code == status


# Whose token ---------------------------------------------------------------------------------------------------------


def test_who_cannot_prove_itself_exchanges_only_its_own(app: App, agent: App, browser: Browser) -> None:
    """§5: a public client's name is known to everybody."""
    other = App(app.url)
    other.register(grant_types=GRANT_TYPES, client_name="Other")
    token = app.connect(browser)["access_token"]
    assert exchange(other, token).json()["error"] == "invalid_request"
    assert exchange(agent, token).status_code == 200
    agent.client_secret = "gh_cs_wrong"
    assert exchange(agent, token).status_code == 401
    agent.client_secret = None
    assert exchange(agent, token).status_code == 401
    assert exchange(app, token, client_id=None).status_code == 401, "a token alone does not say who asks"


def test_only_who_registered_for_it(app: App, browser: Browser) -> None:
    """RFC 7591 §2: it is asked for, kept and echoed; RFC 6749 §5.2 unauthorized_client."""
    plain = App(app.url)
    assert GRANT not in plain.register(client_name="Plain")["grant_types"]
    assert plain.register(client_name="More", grant_types=[*GRANT_TYPES, "password"])["grant_types"] == GRANT_TYPES
    plain.register(client_name="Plain")
    token = plain.connect(browser)["access_token"]
    assert exchange(plain, token).json()["error"] == "unauthorized_client"
    assert GRANT in http().get(f"{app.url}/.well-known/oauth-authorization-server").json()["grant_types_supported"]


# Gone with what it came from -----------------------------------------------------------------------------------------


def revoke(app: App, token: str) -> None:
    fields = {"token": token, "client_id": app.client_id}
    if app.client_secret:
        fields["client_secret"] = app.client_secret
    assert app.http.post(f"{app.url}/revoke", data=fields).status_code == 200


def test_revoking_the_first_token_voids_the_others(app: App, agent: App, browser: Browser, house: House) -> None:
    """RFC 7009 §2.1: the one and what came of it, however often; and nothing else."""
    tokens = app.connect(browser)
    renewed = app.refresh(tokens["refresh_token"]).json()["access_token"]
    first = exchanged(agent, tokens["access_token"])["access_token"]
    second = exchanged(agent, first, scope="read")["access_token"]
    untouched = exchanged(agent, renewed)["access_token"]
    for token in (first, second, untouched):
        assert works(app, token) == 200
    revoke(app, tokens["access_token"])
    house.catch_up()
    for token in (tokens["access_token"], first, second):
        assert works(app, token) == 401
        assert exchange(agent, token).json()["error"] == "invalid_request"
    assert works(app, untouched) == 200


def test_revoking_the_exchanged_one_leaves_the_first(app: App, agent: App, browser: Browser, house: House) -> None:
    whole = app.connect(browser)["access_token"]
    first = exchanged(agent, whole)["access_token"]
    second = exchanged(agent, first)["access_token"]
    revoke(agent, first)
    house.catch_up()
    assert [works(app, token) for token in (whole, first, second)] == [200, 401, 401]


@pytest.mark.parametrize("end", ["connection", "first client", "second client", "user"])
def test_everything_that_ends_the_first_ends_the_second(
    app: App, agent: App, browser: Browser, house: House, end: str
) -> None:
    """Within a second, without a look-up: it carries the names of both."""
    tokens = app.connect(browser)
    token = exchanged(agent, tokens["access_token"])["access_token"]
    assert works(app, token) == 200
    if end == "connection":
        revoke(app, tokens["refresh_token"])
    elif end == "user":
        house.operator("user", "disable", "ada@example.com")
    else:
        house.operator("client", "revoke", app.client_id if end == "first client" else agent.client_id)
    house.catch_up()
    assert works(app, token) == 401


def test_a_revocation_that_was_not_heard_yet_voids_it_all_the_same() -> None:
    """Exchanged a moment after the first was revoked elsewhere: what counts is when the first was issued."""
    from datetime import UTC, datetime, timedelta

    revocations = Revocations()
    revoked_at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    moment = int(revoked_at.timestamp())
    revocations.add("first", revoked_at, revoked_at + timedelta(hours=1))

    def issued(at: int, since: int) -> Principal:
        return Principal(
            "u", "c", frozenset(), "token_exchange", at, at + 60, ("second", "first"), "second", None, since
        )

    assert revocations.covers(issued(moment + 1, moment - 100))
    assert not revocations.covers(issued(moment + 1, moment + 1))
    assert not revocations.covers(issued(moment + 9, moment + 1))


def test_a_chain_has_an_end(app: App, browser: Browser) -> None:
    """The names that a token carries are bounded, as its length is."""
    token = app.connect(browser)["access_token"]
    answers = 0
    while (response := exchange(app, token)).status_code == 200:
        token, answers = response.json()["access_token"], answers + 1
        assert answers < 20
    assert response.json()["error"] == "invalid_request"
    assert answers >= 5
    assert works(app, token) == 200
    assert len(token) < 2000


# A token for an API key ----------------------------------------------------------------------------------------------


def test_a_script_needs_nothing_but_its_key(app: App, key: dict[str, Any]) -> None:
    """§2.1; as at /auth/token, with OAuth's own words. The key expires in half an hour, and so does the token."""
    script = App(app.url)
    answer = exchanged(script, key["apiKey"], API_KEY, client_id=None, scope="read", resource=f"{app.url}/mcp")
    assert (answer["issued_token_type"], answer["scope"]) == (ACCESS_TOKEN, "read")
    assert "refresh_token" not in answer
    assert 1700 < answer["expires_in"] <= 1800
    assert claims(answer["access_token"])["client_id"] == key["id"]
    assert works(app, answer["access_token"]) == 200
    assert works(app, answer["access_token"], "add_note", text="x") == 403
    whole = exchanged(script, key["apiKey"], API_KEY, client_id=None)
    assert works(app, whole["access_token"], "add_note", text="x") == 200


def test_a_client_with_a_key_is_named(app: App, agent: App, key: dict[str, Any]) -> None:
    for client in (app, agent):
        token = exchanged(client, key["apiKey"], API_KEY)["access_token"]
        assert claims(token)["client_id"] == client.client_id
        assert claims(token)["kid"] == key["id"]
        assert works(app, token) == 200
    agent.client_secret = "gh_cs_wrong"
    assert exchange(agent, key["apiKey"], API_KEY).status_code == 401, "a client that is named is proven"
    assert exchange(agent, key["apiKey"], API_KEY, client_id=None).status_code == 401
    plain = App(app.url)
    plain.register(client_name="Plain")
    assert exchange(plain, key["apiKey"], API_KEY).json()["error"] == "unauthorized_client"


def test_tokens_end_with_their_key(app: App, agent: App, browser: Browser, key: dict[str, Any], house: House) -> None:
    """Of the script, of the client, and what was exchanged further."""
    tokens = [
        exchanged(app, key["apiKey"], API_KEY, client_id=client)["access_token"] for client in (None, app.client_id)
    ]
    tokens += [exchanged(agent, token)["access_token"] for token in tokens]
    assert {works(app, token) for token in tokens} == {200}
    assert browser.http.delete(f"{app.url}/api-keys/{key['id']}").status_code == 204
    house.catch_up()
    assert {works(app, token) for token in tokens} == {401}
    assert exchange(app, key["apiKey"], API_KEY, client_id=None).json()["error"] == "invalid_request"


def test_the_key_was_used(app: App, key: dict[str, Any], house: House) -> None:
    exchanged(app, key["apiKey"], API_KEY)
    house.wait_for(house.world.last_used.flush())
    assert house.sql("SELECT last_used_at IS NOT NULL FROM api_keys") == [(True,)]


def test_a_key_reaches_no_further_than_it_did(app: App, key: dict[str, Any]) -> None:
    for scope in ("api_keys", "openid", "read nonsense"):
        assert exchange(app, key["apiKey"], API_KEY, scope=scope).json()["error"] == "invalid_scope"


def test_guessing_keys_is_slowed_down(app: App) -> None:
    """Together with the guesses at /auth/token."""
    statuses = [exchange(app, "gh_key_" + "x" * 43, API_KEY, client_id=None).status_code for _ in range(31)]
    assert set(statuses[:30]) == {400}
    assert statuses[30] == 429
    assert http().post(f"{app.url}/auth/token", json={"apiKey": "gh_key_x"}).status_code == 429


# Refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"actor_token": "x"},
        {"actor_token": "x", "actor_token_type": ACCESS_TOKEN},
        {"actor_token_type": ACCESS_TOKEN},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"requested_token_type": JWT},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"subject_token_type": API_KEY},
        {"subject_token_type": None},
        {"subject_token_type": "\0"},
        {"subject_token": None},
        {"subject_token": ""},
        {"subject_token": "x"},
        {"subject_token": "a.b.c"},
        {"subject_token": "é" * 500},
        {"subject_token": "\0"},
        {"subject_token": "x" * 60_000},
    ],
    ids=str,
)
def test_what_is_wrong_is_an_invalid_request(app: App, browser: Browser, changed: dict[str, str | None]) -> None:
    """§2.2.2: one word for all of it."""
    token = app.connect(browser)["access_token"]
    good: dict[str, str | None] = {"subject_token": token, "subject_token_type": ACCESS_TOKEN}
    response = app.token(grant_type=GRANT, **good | changed)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert app.token(grant_type=GRANT, **good).status_code == 200


def test_other_tokens_are_none(app: App, browser: Browser) -> None:
    """RFC 8725 §3.11: neither a refresh token nor an id_token passes as an access token."""
    tokens = app.connect(browser, scope="openid read")
    for name in ("refresh_token", "id_token"):
        assert exchange(app, tokens[name]).json()["error"] == "invalid_request"
    answer = exchanged(app, tokens["access_token"])
    assert "id_token" not in answer


def test_a_wrong_key_is_an_invalid_request(app: App, key: dict[str, Any]) -> None:
    for wrong in (key["apiKey"][:-1], "gh_key_", "gh_key_é", "x", "gh_key_" + "x" * 9000):
        for client_id in (None, app.client_id):
            response = exchange(app, wrong, API_KEY, client_id=client_id)
            assert (response.status_code, response.json()["error"]) == (400, "invalid_request")

"""RFC 6749 §2.3, §3.2 and §5.2: the token endpoint's surface, client authentication, and its refusals."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from tests.actors import App, http
from tests.conftest import House
from tests.signers import Signer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_an_unknown_client_is_401_invalid_client(app: App) -> None:
    """§5.2; clients register anew on that."""
    app.client_id = "client_gone"
    response = app.refresh("x")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert "www-authenticate" not in response.headers


def test_basic_is_answered_with_basic(app: App) -> None:
    """§5.2."""
    wrong = base64.b64encode(b"client_gone:secret").decode()
    response = app.token(
        {"Authorization": f"Basic {wrong}"}, grant_type="refresh_token", refresh_token="x", client_id=None
    )
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic ")


def test_basic_is_answered_with_basic_whatever_was_wrong(house: House) -> None:
    """§5.2: also a client that signs, and one whose document will not do."""
    app, keys = App(house.url), {"keys": [Signer().jwk]}
    app.register(token_endpoint_auth_method="private_key_jwt", jwks=keys)
    for client_id in (app.client_id, "https://localhost/a/../client.json", "http://localhost/client.json"):
        wrong = base64.b64encode(f"{quote(client_id, safe='')}:secret".encode()).decode()
        fields = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": None}
        response = app.token({"Authorization": f"Basic {wrong}"}, **fields)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client"), client_id
        assert response.headers["www-authenticate"].startswith("Basic "), client_id


@pytest.mark.parametrize("secret", [None, "", "gh_cs_wrong", "x" * 5000])
def test_a_client_with_a_secret_must_prove_it(app: App, secret: str | None) -> None:
    """§2.3."""
    app.register(token_endpoint_auth_method="client_secret_post")
    app.client_secret = secret
    response = app.refresh("x")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    why = "client authentication failed" if secret else "this client has a secret, and none was sent"
    assert response.json()["error_description"] == why


def test_a_client_without_a_secret_must_not_send_one(app: App) -> None:
    app.client_secret = "anything"
    response = app.refresh("x")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    assert response.json()["error_description"] == "this client is public; send no client_secret"


def test_two_ways_of_authentication_at_once_are_refused(app: App) -> None:
    """§2.3: MUST NOT use more than one."""
    app.register(token_endpoint_auth_method="client_secret_basic")
    basic = base64.b64encode(f"{app.client_id}:{app.client_secret}".encode()).decode()
    response = app.token({"Authorization": f"Basic {basic}"}, grant_type="refresh_token", refresh_token="x")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"nocolon").decode(), "Basic /w=="]
)
def test_malformed_basic_credentials_are_refused(app: App, header: str) -> None:
    response = app.token({"Authorization": header}, grant_type="refresh_token", refresh_token="x", client_id=None)
    assert response.status_code in (400, 401)
    assert response.json()["error"] in ("invalid_request", "invalid_client")


@pytest.mark.parametrize("grant_type", ["password", "implicit", "x" * 1000, "réfresh"])
def test_other_grant_types_are_unsupported(app: App, grant_type: str) -> None:
    """OAuth 2.1 §10.1 removed the first two."""
    response = app.token(grant_type=grant_type)
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")


def test_only_post_and_only_forms(app: App) -> None:
    """§3.2: POST, form-encoded, each parameter once, none in the URL."""
    client, url = app.http, f"{app.url}/token"
    good = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": app.client_id}
    assert client.get(url, params=good).status_code == 405
    assert client.put(url, data=good).status_code == 405
    refusals = [
        client.post(url, json=good),
        client.post(url, params=good, data=good),
        client.post(url, content="grant_type=a&grant_type=b", headers=FORM),
        client.post(url, content="grant_type=refresh_token&x=&x=", headers=FORM),
        client.post(url, content="&".join(f"a{n}=1" for n in range(100)), headers=FORM),
        client.post(url, content=b"grant_type=\xff", headers=FORM),
        client.post(url, content="grant_type=%ff", headers=FORM),
        client.post(url, content="grant_type=refresh_token%00", headers=FORM),
        client.post(url, content="", headers=FORM),
        client.post(url, content="grant_type=refresh_token"),
    ]
    for response in refusals:
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request"), response.request.content
        assert response.headers["cache-control"] == "no-store"


def test_an_oversized_body_is_cut_off(app: App) -> None:
    response = app.http.post(f"{app.url}/token", content=b"a" * 70_000, headers=FORM)
    assert response.status_code == 413

    def endless() -> object:
        yield b"a=" + b"b" * 100_000

    assert app.http.post(f"{app.url}/token", content=endless(), headers=FORM).status_code == 413  # type: ignore[arg-type]


def test_browsers_may_ask_for_tokens_from_anywhere(house: House) -> None:
    """CORS without credentials, the preflight included; never where people are."""
    client, origin = http(), {"Origin": "http://localhost:6274"}
    preflight = client.options(f"{house.url}/token", headers=origin | {"Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert client.post(f"{house.url}/token", data={}, headers=origin).headers["access-control-allow-origin"] == "*"
    for path in ("/authorize", "/login", "/consent", "/account", "/api-keys"):
        assert "access-control-allow-origin" not in client.get(house.url + path, headers=origin).headers
        assert client.options(house.url + path, headers=origin).status_code in (404, 405)

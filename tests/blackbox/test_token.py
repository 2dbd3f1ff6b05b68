"""Checks 44 to 59: the token endpoint (RFC 6749 §3.2 and §5, OAuth 2.1 §4.3)."""

from __future__ import annotations

import base64

from tests.actors import App, Browser, http
from tests.conftest import House


def basic(client_id: str, secret: str | None) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def test_a_public_client_gets_its_tokens(app: App, browser: Browser) -> None:
    """Check 44, AS-1, AS-10: RFC 6749 §5.1."""
    answer = app.redeem(app.code(browser))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert (tokens["token_type"], tokens["scope"]) == ("Bearer", "read write")
    assert 0 < tokens["expires_in"] <= 3600
    assert tokens["access_token"]
    assert tokens["refresh_token"]
    assert None not in tokens.values()


def test_what_does_not_belong_to_the_code_redeems_nothing(app: App, browser: Browser, house: House) -> None:
    """Check 45: RFC 6749 §5.2, RFC 7636 §4.6; the owner redeems it in the end, unless it is too late."""
    other = App(house.url, code_verifier=app.code_verifier)
    other.register(client_name="Other")
    code = app.code(browser)
    refused = {
        "wrong verifier": app.redeem(code, code_verifier="w" * 64),
        "no verifier": app.redeem(code, code_verifier=None),
        "wrong redirect_uri": app.redeem(code, redirect_uri="http://127.0.0.1:3030/other"),
        "another client": other.redeem(code),
        "no code of ours": app.redeem("gh_code_" + "x" * 43),
    }
    assert app.redeem(code).status_code == 200
    late = app.code(browser)
    house.turn_clock(seconds=61)
    refused["expired"] = app.redeem(late)
    for why, answer in refused.items():
        word = "invalid_request" if why == "no verifier" else "invalid_grant"
        assert (answer.status_code, answer.json()["error"]) == (400, word), why
        assert answer.headers["cache-control"] == "no-store"


def test_a_secret_may_come_by_either_way_but_under_one_name(app: App, browser: Browser) -> None:
    """Check 47, AS-1: RFC 6749 §2.3.1; the Python SDK sends Basic and the client_id too, the TypeScript SDK Basic alone."""
    app.register(token_endpoint_auth_method="client_secret_basic")
    client_id, header = app.client_id, basic(app.client_id, app.client_secret)
    fields = {"grant_type": "authorization_code", "redirect_uri": app.redirect_uri, "code_verifier": app.code_verifier}

    def redeemed(headers: dict[str, str], **changed: str | None) -> int:
        return app.token(headers, **fields | {"code": app.code(browser)} | changed).status_code

    assert redeemed(header, client_id=None, client_secret=None) == 200
    assert redeemed(header, client_id=client_id, client_secret=None) == 200
    assert redeemed({}) == 200
    assert redeemed(header, client_id="client_other", client_secret=None) in (400, 401)


def test_an_unknown_client_is_told_so_in_a_way_that_makes_it_register(house: House) -> None:
    """Check 48: RFC 6749 §5.2; Claude and the TypeScript SDK register anew on exactly this answer."""
    app = App(house.url, client_id="client_gone")
    public = app.refresh("gh_rt_x")
    assert (public.status_code, public.json()["error"]) == (401, "invalid_client")
    secret = app.token(basic("client_gone", "x"), grant_type="refresh_token", refresh_token="x", client_id=None)
    assert (secret.status_code, secret.json()["error"]) == (401, "invalid_client")
    assert secret.headers["www-authenticate"].startswith("Basic ")


def test_a_refresh_brings_a_new_token_of_no_more_scope(app: App, browser: Browser) -> None:
    """Check 50, AS-11: OAuth 2.1 §4.3.1; the access token before stays good until it ends, as the guide says."""
    first = app.connect(browser)
    answer = app.refresh(first["refresh_token"], scope="read")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == "read"
    assert app.call("add_note", second["access_token"], text="x").status_code == 403
    assert app.call("add_note", first["access_token"], text="x").status_code == 200


def test_a_refresh_may_repeat_what_was_granted(app: App, browser: Browser) -> None:
    """Check 53: RFC 6749 §6, RFC 8707 §2.2; mcp-remote repeats the scope, the TypeScript SDK the resource."""
    token = app.connect(browser, scope="read write", resource=f"{app.url}/mcp")["refresh_token"]
    resource, scope = {"resource": f"{app.url}/mcp"}, {"scope": "read write"}
    for sent in (resource, scope, {**resource, **scope}, {}):
        answer = app.refresh(token, **sent)
        assert (answer.status_code, answer.json()["scope"]) == (200, "read write"), sent
        token = answer.json()["refresh_token"]


def test_a_refresh_reaches_no_further_than_what_was_granted(app: App, browser: Browser) -> None:
    """Check 54: RFC 6749 §6, RFC 8707 §2.2; and a refusal uses nothing up."""
    token = app.connect(browser, scope="read")["refresh_token"]
    wider = app.refresh(token, scope="read write")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    elsewhere = app.refresh(token, resource="https://other.example/mcp")
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (400, "invalid_target")
    assert app.refresh(token).json()["scope"] == "read"


def test_a_grant_that_was_abolished_is_unsupported(app: App) -> None:
    """Check 55: RFC 6749 §5.2, OAuth 2.1 §10."""
    for grant_type in ("password", "implicit", "urn:example:unheard-of"):
        answer = app.token(grant_type=grant_type, username="ada@example.com", password="x")
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_a_refresh_token_that_was_given_back_is_dead(app: App, browser: Browser) -> None:
    """Check 59: RFC 7009 §2.1 and §2.2."""
    tokens = app.connect(browser)
    revoke = {"token": tokens["refresh_token"], "client_id": app.client_id}
    for _ in range(2):
        assert http().post(f"{app.url}/revoke", data=revoke).status_code == 200
    refused = app.refresh(tokens["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert http().post(f"{app.url}/revoke", data=revoke | {"token": "nobody's"}).status_code == 200

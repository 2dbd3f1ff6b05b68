"""OpenID Connect Core 1.0, Discovery 1.0, Registration 1.0: Authlib is the relying party, joserfc reads the id_token."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwt
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from cryptography.hazmat.primitives.asymmetric import ec

from app.oauth.grants import GRANTS
from app.protocol import metadata
from app.protocol.claims import SUPPORTED
from tests.actors import CALLBACK, App, Browser, http
from tests.conftest import House

EVERYTHING = "openid profile email"


def discovered(house: House) -> dict[str, Any]:
    found: dict[str, Any] = http().get(get_well_known_url(house.url, external=True)).json()
    return found


def read(house: House, id_token: str) -> joserfc.jwt.Token:
    """With the published keys and the one algorithm that is advertised."""
    provider = discovered(house)
    keys = joserfc.jwk.KeySet.import_key_set(http().get(provider["jwks_uri"]).json())
    return joserfc.jwt.decode(id_token, keys, algorithms=provider["id_token_signing_alg_values_supported"])


def claims(house: House, app: App, tokens: dict[str, Any], nonce: str | None = None) -> dict[str, Any]:
    """The claims, after Authlib has checked them as Core §3.1.3.7 says."""
    token = read(house, tokens["id_token"])
    checked = CodeIDToken(
        token.claims,
        token.header,
        {"iss": {"value": house.url, "essential": True}, "aud": {"value": app.client_id, "essential": True}},
        {"nonce": nonce, "client_id": app.client_id, "access_token": tokens["access_token"]},
    )
    checked.validate(now=int(house.clock().timestamp()))
    return dict(token.claims)


def userinfo(house: House, token: str | None, method: str = "GET", **options: Any) -> Any:
    headers = {b"Authorization": f"Bearer {token}".encode()} if token is not None else {}
    return http().request(method, f"{house.url}/userinfo", headers=headers, **options)


# Discovery -----------------------------------------------------------------------------------------------------------


def test_authlib_finds_nothing_wrong_with_the_document() -> None:
    """Discovery §3; it wants https, which a loopback issuer is not."""
    document = metadata.openid_provider("https://mcp.example", list(GRANTS), documents=True, resources={})
    OpenIDProviderMetadata(document).validate()


def test_the_document_has_all_of_the_other_and_the_rest(house: House) -> None:
    """Discovery §3, MCP "Authorization Server Metadata Discovery": either document alone is enough."""
    openid = discovered(house)
    server = http().get(f"{house.url}/.well-known/oauth-authorization-server").json()
    assert {name: value for name, value in openid.items() if name in server} == server | {
        "scopes_supported": ["openid", "profile", "email", *server["scopes_supported"]]
    }
    assert openid["issuer"] == house.url
    assert openid["subject_types_supported"] == ["public"]
    assert openid["id_token_signing_alg_values_supported"] == ["RS256"]
    assert openid["code_challenge_methods_supported"] == ["S256"]
    assert openid["request_uri_parameter_supported"] is False
    assert None not in openid.values()
    assert http().get(openid["userinfo_endpoint"]).status_code == 401


def test_the_scopes_of_people_stay_out_of_the_documents_of_mcp(house: House) -> None:
    """A client that asks for every scope it reads of learns nothing about people by accident."""
    for path in ("oauth-authorization-server", "oauth-protected-resource"):
        found = http().get(f"{house.url}/.well-known/{path}").json()["scopes_supported"]
        assert not {"openid", "profile", "email", "offline_access"} & set(found)
    assert "openid" not in http().post(f"{house.url}/mcp").headers["www-authenticate"]


def test_browsers_can_read_it(house: House) -> None:
    for path in ("/.well-known/openid-configuration", "/userinfo"):
        asked = {"Origin": "https://spa.example", "Access-Control-Request-Headers": "authorization"}
        preflight = http().options(house.url + path, headers=asked)
        assert preflight.status_code == 204
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        assert http().get(house.url + path).headers["access-control-allow-origin"] == "*"


# The id_token --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
async def test_authlib_as_the_relying_party(
    house: House, browser: Browser, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Core §3.1: everything from the document, the code, the id_token and /userinfo, by a client that knows only OpenID."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # it knows no loopback exception
    house.add_user()
    app, provider = App(house.url), discovered(house)
    app.register(token_endpoint_auth_method=method)
    async with AsyncOAuth2Client(
        app.client_id,
        app.client_secret,
        token_endpoint_auth_method=method,
        redirect_uri=CALLBACK,
        scope=EVERYTHING,
        code_challenge_method="S256",
        token_endpoint=provider["token_endpoint"],
    ) as client:
        url, state = client.create_authorization_url(
            provider["authorization_endpoint"], code_verifier=app.code_verifier, nonce="n-0S6_WzA2Mj"
        )
        answer = browser.decide(browser.sign_in(browser.open(url))).left_to
        tokens = await client.fetch_token(authorization_response=answer, state=state, code_verifier=app.code_verifier)
        told = claims(house, app, tokens, "n-0S6_WzA2Mj")
        informed = (await client.get(provider["userinfo_endpoint"])).json()
        renewed = await client.refresh_token(provider["token_endpoint"])
    assert tokens["scope"] == EVERYTHING
    assert informed == {name: told[name] for name in ("sub", "name", "email", "email_verified")}
    assert claims(house, app, renewed)["sub"] == informed["sub"]


def test_what_the_id_token_says(app: App, browser: Browser, house: House) -> None:
    """Core §2: and nothing that is not announced."""
    before = int(house.clock().timestamp())
    tokens = app.connect(browser, scope=EVERYTHING, nonce="n")
    told = claims(house, app, tokens, "n")
    assert set(told) == set(SUPPORTED)
    assert told["sub"].startswith("usr_")
    assert told["exp"] - told["iat"] == tokens["expires_in"]
    assert before <= told["auth_time"] <= told["iat"]
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert told["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert (told["name"], told["email"]) == ("ada", "ada@example.com")
    assert told["email_verified"] is False, "an admin typed the address in; nobody has proven it"
    header = jwt.get_unverified_header(tokens["id_token"])
    assert (header["typ"], header["alg"]) == ("JWT", "RS256")


def test_scopes_say_what_is_told(app: App, browser: Browser, house: House) -> None:
    """Core §5.4."""
    for scope, names in (
        ("openid", set()),
        ("openid profile", {"name"}),
        ("email openid", {"email", "email_verified"}),
    ):
        tokens = app.connect(browser, scope=scope, prompt="consent")
        told = claims(house, app, tokens)
        assert set(told) - {"iss", "sub", "aud", "exp", "iat", "auth_time", "at_hash"} == names
        assert set(userinfo(house, tokens["access_token"]).json()) == {"sub"} | names


def test_without_openid_there_is_none(app: App, browser: Browser) -> None:
    """Core §3.1.2.1: the behaviour of a request without `openid` is OAuth's."""
    tokens = app.connect(browser, scope="read profile email", nonce="n")
    assert "id_token" not in tokens
    assert tokens["scope"] == "read"
    assert "id_token" not in app.refresh(tokens["refresh_token"]).json()


def test_auth_time_is_when_the_password_was_typed(app: App, browser: Browser, house: House) -> None:
    """Core §2, §3.1.2.1 `max_age`: not when the code was given, nor when the token was renewed."""
    first = claims(house, app, app.connect(browser, scope="openid"))
    house.turn_clock(minutes=20)
    tokens = app.connect(browser, scope="openid", nonce="later")
    later = claims(house, app, tokens, "later")
    assert later["auth_time"] == first["auth_time"]
    assert later["iat"] >= first["iat"] + 1200
    house.turn_clock(minutes=20)
    renewed = claims(house, app, app.refresh(tokens["refresh_token"]).json())
    assert renewed["auth_time"] == first["auth_time"], "§12.2: of the original sign-in"
    assert renewed["iat"] >= later["iat"] + 1200
    assert "nonce" not in renewed, "§12.2"
    assert (renewed["sub"], renewed["aud"]) == (first["sub"], first["aud"])
    again = claims(house, app, app.connect(browser, scope="openid", max_age="600"))
    assert again["auth_time"] >= first["auth_time"] + 2400


def test_a_refresh_that_asks_for_less_tells_less(app: App, browser: Browser, house: House) -> None:
    """Core §12.1, RFC 6749 §6."""
    tokens = app.connect(browser, scope="openid email read")
    narrowed = app.refresh(tokens["refresh_token"], scope="openid").json()
    assert narrowed["scope"] == "openid"
    assert "email" not in claims(house, app, narrowed)
    tools_only = app.refresh(narrowed["refresh_token"], scope="read").json()
    assert "id_token" not in tools_only
    assert userinfo(house, tools_only["access_token"]).status_code == 403


def test_a_refresh_may_repeat_what_was_dropped(app: App, browser: Browser) -> None:
    """Clients repeat the scope they first asked for; `profile` without `openid` was dropped then, and is now."""
    tokens = app.connect(browser, scope="read profile")
    renewed = app.refresh(tokens["refresh_token"], scope="read profile")
    assert (renewed.status_code, renewed.json()["scope"]) == (200, "read")
    again = app.refresh(renewed.json()["refresh_token"], scope="openid read")
    assert again.json()["scope"] == "read"
    assert "id_token" not in again.json()


def test_the_key_of_id_tokens_is_rotated_too(app: App, browser: Browser, house: House) -> None:
    """Core §10.1.1: an id_token of yesterday's key verifies until it ends."""
    tokens = app.connect(browser, scope="openid")
    house.operator("key", "rotate", "--now")
    house.wait_for(house.world.live.load_keys())
    renewed = app.refresh(tokens["refresh_token"]).json()
    old, new = (jwt.get_unverified_header(answer["id_token"])["kid"] for answer in (tokens, renewed))
    assert old != new
    for answer in (tokens, renewed):
        claims(house, app, answer)


# What it must not open -----------------------------------------------------------------------------------------------


def test_an_id_token_is_no_access_token(app: App, browser: Browser, house: House) -> None:
    """RFC 9068 §4, RFC 8725 §3.11: at no address, nor with another type written on it."""
    tokens = app.connect(browser, scope="openid read write")
    id_token = tokens["id_token"]
    assert app.call("whoami", id_token).status_code == 401
    assert userinfo(house, id_token).status_code == 401
    assert app.refresh(id_token).json()["error"] == "invalid_grant"
    disguised = dict(read(house, id_token).claims) | {"aud": f"{house.url}/mcp", "client_id": app.client_id}
    disguised |= {"scope": "read write", "via": "authorization_code", "jti": "x" * 22}
    key = house.world.live.ring.signer(house.clock(), "RS256")
    forged = jwt.encode(disguised, key.private, "RS256", {"typ": "at+jwt", "kid": key.kid})
    assert app.call("whoami", forged).status_code == 401, "the key of id_tokens signs no access tokens"
    mixed = jwt.encode(disguised, ec.generate_private_key(ec.SECP256R1()), "ES256", {"typ": "at+jwt", "kid": key.kid})
    assert app.call("whoami", mixed).status_code == 401
    assert app.call("whoami", tokens["access_token"]).status_code == 200


def test_openid_alone_opens_no_tool(app: App, browser: Browser, house: House) -> None:
    """But /mcp says what to ask for, with what is held."""
    tokens = app.connect(browser, scope=EVERYTHING)
    refused = app.call("whoami", tokens["access_token"])
    assert refused.status_code == 403
    assert 'scope="email openid profile read"' in refused.headers["www-authenticate"]
    assert userinfo(house, tokens["access_token"]).status_code == 200


def test_a_client_that_names_the_resource_gets_its_tools_too(app: App, browser: Browser, house: House) -> None:
    """RFC 8707; mcp-remote asks for `openid email profile` when it knows no better."""
    tokens = app.connect(browser, scope="openid email profile", resource=f"{house.url}/mcp")
    assert tokens["scope"] == "openid email profile read write"
    assert app.call("whoami", tokens["access_token"]).status_code == 200


def test_api_keys_know_no_person(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    keys = f"{house.url}/api-keys"
    assert browser.http.post(keys, json={"name": "x", "scopes": ["read", "openid"]}).json()["error"] == "invalid_scope"
    key = browser.http.post(keys, json={"name": "x"}).json()["apiKey"]
    assert userinfo(house, key).status_code == 403


# Consent -------------------------------------------------------------------------------------------------------------


def test_the_consent_page_says_it_in_words_and_remembers(app: App, browser: Browser, house: House) -> None:
    """Core §3.1.2.4."""
    page = browser.sign_in(browser.open(app.authorize_url(scope=EVERYTHING)))
    for words in ("Know you again", "See your name", "See your e-mail address"):
        assert words in page.text
    assert "For the tools at" not in page.text
    assert "code" in browser.decide(page).answer
    assert house.sql("SELECT scope FROM consents") == [(["email", "openid", "profile"],)]
    assert "code" in browser.open(app.authorize_url(scope="openid email", prompt="none")).answer
    more = browser.open(app.authorize_url(scope="openid read", prompt="none"))
    assert more.answer["error"] == "consent_required"
    app.redeem(app.code(browser, scope=EVERYTHING))
    assert "See your e-mail address" in browser.open("/account").text


def test_the_request_may_be_posted(app: App, browser: Browser, house: House) -> None:
    """Core §3.1.2.1: GET and POST, with the same answer, session and state."""
    fields = dict(
        part.split("=") for part in app.authorize_url(scope="openid", redirect_uri=None).split("?")[1].split("&")
    )
    elsewhere = {"Origin": "https://rp.example"}
    page = browser.send("/authorize", elsewhere, **fields | {"state": "a b&c=d\u00e9"})
    assert "/login" in page.url
    answer = browser.decide(browser.sign_in(page)).answer
    assert answer["state"] == "a b&c=d\u00e9"
    assert browser.send("/authorize", redirect_uri="https://evil.example").status == 400


# /userinfo -----------------------------------------------------------------------------------------------------------


def test_userinfo_answers_get_and_post(app: App, browser: Browser, house: House) -> None:
    """Core §5.3.1, §5.3.2."""
    token = app.connect(browser, scope="openid email")["access_token"]
    for method in ("GET", "POST"):
        response = userinfo(house, token, method)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        assert response.json()["email"] == "ada@example.com"
    assert userinfo(house, token, "PUT").status_code == 405


def test_userinfo_refuses_with_the_challenge(app: App, browser: Browser, house: House) -> None:
    """Core §5.3.3, RFC 6750 §3: no error word for who sent nothing; none in the URL or the body."""
    token = app.connect(browser, scope="openid")["access_token"]
    nothing = [userinfo(house, None), userinfo(house, None, "POST", data={"access_token": token})]
    nothing += [userinfo(house, None, params={"access_token": token})]
    for response in nothing:
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer scope="openid"'
    for wrong in ("x", "gh_key_x", token[:-2], "é", "a" * 9000):
        response = userinfo(house, wrong)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    twice = [("Authorization", f"Bearer {token}")] * 2
    assert http().get(f"{house.url}/userinfo", headers=twice).status_code == 400
    tools = App(house.url)
    tools.register(client_name="Tools")
    without = userinfo(house, tools.connect(browser)["access_token"])
    assert without.status_code == 403
    assert 'error="insufficient_scope"' in without.headers["www-authenticate"]


def test_userinfo_ends_with_the_connection_and_the_account(app: App, browser: Browser, house: House) -> None:
    """RFC 7009 §2.1, as at /mcp."""
    tokens = app.connect(browser, scope="openid")
    other = app.connect(browser, scope="openid")
    app.http.post(f"{house.url}/revoke", data={"token": tokens["refresh_token"], "client_id": app.client_id})
    house.catch_up()
    assert userinfo(house, tokens["access_token"]).status_code == 401
    assert userinfo(house, other["access_token"]).status_code == 200
    house.operator("user", "disable", "ada@example.com")
    house.catch_up()
    assert userinfo(house, other["access_token"]).status_code == 401


# Registration and bad input ------------------------------------------------------------------------------------------


def test_registration_says_what_will_be_done(app: App) -> None:
    """Registration §2, RFC 7591 §3.2.1: what is done in one way only is answered so, or left out."""
    answer = app.register(
        id_token_signed_response_alg="ES256",
        userinfo_signed_response_alg="RS256",
        subject_type="pairwise",
        default_max_age=5,
    )
    assert (answer["id_token_signed_response_alg"], answer["subject_type"]) == ("RS256", "public")
    assert not {"userinfo_signed_response_alg", "default_max_age"} & set(answer)
    assert "subject_type" not in app.register(client_name="Plain")


@pytest.mark.parametrize("nonce", ["x" * 513, "\0", "a\nb", "é" * 600])
def test_a_hostile_nonce_is_refused(app: App, browser: Browser, nonce: str) -> None:
    assert browser.open(app.authorize_url(scope="openid", nonce=nonce)).answer["error"] == "invalid_request"


@pytest.mark.parametrize("nonce", ["é💥", "a b+c%20&=", "'; DROP TABLE codes;--", "x" * 512])
def test_a_nonce_comes_back_as_it_was(app: App, browser: Browser, house: House, nonce: str) -> None:
    assert claims(house, app, app.connect(browser, scope="openid", nonce=nonce), nonce)["nonce"] == nonce


def test_a_code_of_before_the_migration_still_gives_tokens(app: App, browser: Browser, house: House) -> None:
    """Then nobody knows when the user signed in, and nothing is made up."""
    code = app.code(browser, scope="openid")
    house.sql("UPDATE codes SET authenticated_at = NULL")
    assert "auth_time" not in claims(house, app, app.redeem(code).json())


def test_a_database_of_before_gets_the_missing_key_at_start(house: House) -> None:
    """And keeps the one that it has."""
    from app.tokens.rotate import ensure_key

    world = house.world
    kept = [key.kid for key in world.live.ring.keys if key.algorithm == "ES256"]
    house.sql("DELETE FROM signing_keys WHERE algorithm = 'RS256'")

    async def start_again() -> None:
        for _ in range(2):
            await ensure_key(world.db, world.secrets.signing_keys, house.clock(), lifetime=world.token_lifetime)
        await world.live.load_keys()

    house.wait_for(start_again())
    assert [key.kid for key in world.live.ring.keys if key.algorithm == "ES256"] == kept
    assert [key.algorithm for key in world.live.ring.keys if key.kid not in kept] == ["RS256"]
    assert world.live.ring.signer(house.clock()).verifies_until is None, "its end is not dated by the other's beginning"


def test_an_old_key_is_replaced_by_the_sweeper(house: House) -> None:
    """RFC 7517 §5: each algorithm's own successor, published before it signs."""
    from app.tokens.rotate import ROTATE_AFTER, rotate_if_due

    world = house.world
    kids = {key.kid for key in world.live.ring.keys}
    later = house.clock() + ROTATE_AFTER + timedelta(days=1)

    async def sweep(at: Any) -> None:
        await rotate_if_due(world.db, world.secrets.signing_keys, at, lifetime=world.token_lifetime)
        await world.live.load_keys()

    try:
        house.wait_for(sweep(house.clock()))
        assert {key.kid for key in world.live.ring.keys} == kids, "nothing is due"
        house.wait_for(sweep(later))
        made = [key for key in world.live.ring.keys if key.kid not in kids]
        assert sorted(key.algorithm for key in made) == ["ES256", "RS256"]
        assert all(key.signs_from > later for key in made)
        house.wait_for(sweep(later))
        assert len(world.live.ring.keys) == len(kids) + 2, "once"
    finally:
        house.sql("DELETE FROM signing_keys WHERE created_at > now() + interval '1 day'")
        house.sql("UPDATE signing_keys SET verifies_until = NULL WHERE verifies_until > now() + interval '1 day'")
        house.wait_for(world.live.load_keys())

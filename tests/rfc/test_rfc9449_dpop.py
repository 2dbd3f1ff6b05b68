"""DPoP: tokens that are worth nothing without the key they are bound to (RFC 9449)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx2
import jwt
import pytest

from app.gate.headers import sorted_headers
from app.tokens.secrets import Secrets
from app.web import dpop
from tests.actors import App, Browser, Device
from tests.conftest import House
from tests.holders import WHOAMI, Holder, hashed
from tests.signers import PRIVATE, Signer


@pytest.fixture
def holder(app: App, house: House) -> Holder:
    return Holder(app, house)


@pytest.fixture
def demanding(dsn: str) -> Iterator[House]:
    """A Gatehouse that demands nonces."""
    house = House(dsn, dpop_nonces=True).start()
    yield house
    house.stop()


def refused(response: httpx2.Response, status: int, error: str) -> bool:
    return (response.status_code, response.json()["error"]) == (status, error)


# Tokens that are bound -----------------------------------------------------------------------------------------------


def test_a_token_is_bound_and_used_with_its_key(holder: Holder, browser: Browser) -> None:
    """§5, §6.1, §7.1; a call of /mcp needs a new proof each time, and works as any other."""
    tokens = holder.tokens(browser)
    assert tokens["token_type"] == "DPoP"
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["cnf"] == {"jkt": holder.jkt}
    for _ in range(3):
        answer = holder.call(tokens["access_token"])
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"]["structuredContent"]["client"] == holder.app.client_id
    assert holder.call(tokens["access_token"], scheme="dpop").status_code == 200


@pytest.mark.parametrize("alg", sorted(PRIVATE))
def test_every_advertised_algorithm_works(alg: str, holder: Holder, browser: Browser) -> None:
    holder.signer = Signer(alg)
    document = httpx2.get(f"{holder.app.url}/.well-known/oauth-authorization-server").json()
    assert alg in document["dpop_signing_alg_values_supported"]
    resource = httpx2.get(f"{holder.app.url}/.well-known/oauth-protected-resource/mcp").json()
    assert alg in resource["dpop_signing_alg_values_supported"]
    assert holder.call(holder.tokens(browser)["access_token"]).status_code == 200


def test_a_stolen_bound_token_is_worth_nothing(holder: Holder, browser: Browser) -> None:
    """§7.2: as a bearer token, without a proof, with another's proof: refused; and the scheme is named only to who tried it."""
    token = holder.tokens(browser)["access_token"]
    assert holder.call(token).status_code == 200  # remembered, and still not given to thieves
    thief = Holder(holder.app, holder.house)
    as_bearer = holder.app.mcp(WHOAMI, token)
    assert refused(as_bearer, 401, "invalid_token")
    assert as_bearer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
    assert "bound to a key" in as_bearer.json()["error_description"]
    bare = holder.app.mcp(WHOAMI, None, {"Authorization": f"DPoP {token}"})
    assert refused(bare, 401, "invalid_dpop_proof")
    assert bare.headers["www-authenticate"].startswith('DPoP error="invalid_dpop_proof"')
    assert 'algs="RS256 PS256 ES256' in bare.headers["www-authenticate"]
    assert "resource_metadata=" in bare.headers["www-authenticate"]
    assert refused(holder.call(token, thief.proof("POST", "/mcp", token)), 401, "invalid_token")
    assert refused(holder.call(token, scheme="Bearer"), 401, "invalid_token")


def test_a_bearer_token_is_no_dpop_token(holder: Holder, browser: Browser) -> None:
    token = holder.app.connect(browser)["access_token"]
    assert refused(holder.call(token), 401, "invalid_token")
    assert holder.app.call("whoami", token).status_code == 200
    with_a_proof = holder.call(token, scheme="Bearer")  # a proof that nobody asked for changes nothing
    assert with_a_proof.status_code == 200


def test_the_proof_is_for_this_request_alone(holder: Holder, browser: Browser) -> None:
    """§4.3: method, address, access token, time; each of them wrong, each refused with 401."""
    token = holder.tokens(browser)["access_token"]
    other = holder.tokens(browser, prompt="none")["access_token"]
    moment = int(holder.house.clock().timestamp())
    wrong = {
        "another method": holder.proof("GET", "/mcp", token),
        "another address": holder.proof("POST", "/token", token),
        "another host": holder.proof("POST", "/mcp", token, htu="https://evil.example/mcp"),
        "another token": holder.proof("POST", "/mcp", other),
        "no token": holder.proof("POST", "/mcp"),
        "the past": holder.proof("POST", "/mcp", token, iat=moment - 120),
        "the future": holder.proof("POST", "/mcp", token, iat=moment + 120),
        "no time": holder.proof("POST", "/mcp", token, iat=None),
        "time as text": holder.proof("POST", "/mcp", token, iat=str(moment)),
        "no jti": holder.proof("POST", "/mcp", token, jti=None),
        "an endless jti": holder.proof("POST", "/mcp", token, jti="x" * 501),
        "another type": holder.proof("POST", "/mcp", token, header={"typ": "JWT"}),
        "no key": holder.proof("POST", "/mcp", token, header={"jwk": None}),
        "nonsense": "x.y.z",
        "too long": holder.proof("POST", "/mcp", token, more="x" * 5000),
    }
    for what, proof in wrong.items():
        assert refused(holder.call(token, proof), 401, "invalid_dpop_proof"), what
    assert holder.call(token).status_code == 200


def test_the_address_may_be_written_in_another_way(holder: Holder, browser: Browser) -> None:
    """§4.3: query and fragment do not count, nor the case of scheme and host; the Host that was called counts as ours does."""
    token = holder.tokens(browser)["access_token"]
    port = holder.app.url.rsplit(":", 1)[1]
    for htu in (
        f"{holder.app.url}/mcp?x=1#y",
        f"HTTP://LOCALHOST:{port}/mcp",
        f"http://127.0.0.1:{port}/mcp",
    ):
        host = {"Host": f"127.0.0.1:{port}"} if "127" in htu else {}
        assert holder.call(token, holder.proof("POST", "/mcp", token, htu=htu), **host).status_code == 200, htu
    assert (
        holder.call(token, holder.proof("POST", "/mcp", token, htu=f"http://127.0.0.1:{port}/mcp")).status_code == 401
    )


def test_a_proof_works_once(holder: Holder, browser: Browser) -> None:
    """§11.1: at /mcp and at /token, and on every replica, since the database remembers."""
    token = holder.tokens(browser)["access_token"]
    proof = holder.proof("POST", "/mcp", token)
    assert holder.call(token, proof).status_code == 200
    again = holder.call(token, proof)
    assert refused(again, 401, "invalid_dpop_proof")
    replica = House(holder.house.dsn, public_url=holder.app.url).start()
    try:
        elsewhere = {"Authorization": f"DPoP {token}", "DPoP": proof, "Host": holder.app.url.removeprefix("http://")}
        accept = {"Accept": "application/json, text/event-stream"}
        address = f"http://127.0.0.1:{replica._listener.getsockname()[1]}/mcp"
        answer = httpx2.post(address, json=WHOAMI, headers=elsewhere | accept)
        assert refused(answer, 401, "invalid_dpop_proof")
        fresh = elsewhere | accept | {"DPoP": holder.proof("POST", "/mcp", token)}
        assert httpx2.post(address, json=WHOAMI, headers=fresh).status_code == 200
    finally:
        replica.stop()


def test_two_proofs_are_none(holder: Holder, browser: Browser) -> None:
    token = holder.tokens(browser)["access_token"]
    headers = [
        ("Authorization", f"DPoP {token}"),
        ("DPoP", holder.proof("POST", "/mcp", token)),
        ("DPoP", holder.proof("POST", "/mcp", token)),
    ]
    answer = holder.app.http.post(f"{holder.app.url}/mcp", json=WHOAMI, headers=headers)
    assert refused(answer, 401, "invalid_dpop_proof")


# Giving them out -----------------------------------------------------------------------------------------------------


def test_a_bad_proof_gives_no_token_and_spends_no_code(holder: Holder, browser: Browser) -> None:
    """§5: 400 invalid_dpop_proof; the code is as good as before."""
    code = holder.app.code(browser)
    secret = Signer().private.private_numbers().private_value
    d = base64.urlsafe_b64encode(secret.to_bytes(32, "big")).rstrip(b"=").decode()
    forged = jwt.encode({"jti": "x"}, "s" * 32, "HS256", {"typ": "dpop+jwt", "jwk": holder.jwk})
    wrong = {
        "another address": holder.proof("POST", "/mcp"),
        "another method": holder.proof("GET", "/token"),
        "a key that is not there": Holder(holder.app, holder.house).proof("POST", "/token", header={"jwk": holder.jwk}),
        "a private key": holder.proof("POST", "/token", header={"jwk": holder.jwk | {"d": d}}),
        "a symmetric algorithm": forged,
        "no algorithm": jwt.encode({"jti": "x"}, "", "none", {"typ": "dpop+jwt", "jwk": holder.jwk}),
        "a nested key": holder.proof("POST", "/token", header={"jwk": [holder.jwk]}),
        "a key of no kind": holder.proof("POST", "/token", header={"jwk": {"kty": "oct", "k": "AAAA"}}),
        "half a key": holder.proof("POST", "/token", header={"jwk": {"kty": "EC", "crv": "P-256", "x": "AA"}}),
    }
    for what, proof in wrong.items():
        assert refused(holder.redeem(code, proof), 400, "invalid_dpop_proof"), what
    proof = holder.proof("POST", "/token")
    assert holder.redeem(code, proof).status_code == 200
    assert refused(holder.redeem(code, proof), 400, "invalid_dpop_proof")


def test_a_public_client_refreshes_with_the_same_key_alone(holder: Holder, browser: Browser) -> None:
    """§5: its refresh token is bound too; without the proof, or with another key, it is as if it were not ours."""
    token = holder.tokens(browser)["refresh_token"]
    assert refused(holder.app.refresh(token), 400, "invalid_grant")
    thief = Holder(holder.app, holder.house)
    assert refused(thief.refresh(token), 400, "invalid_grant")
    answer = holder.refresh(token)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "DPoP")
    assert holder.call(answer.json()["access_token"]).status_code == 200


def test_a_confidential_client_may_change_its_key(house: House, browser: Browser) -> None:
    """§5: it proves itself otherwise, so only the access token is bound."""
    house.add_user()
    app = App(house.url)
    app.register(token_endpoint_auth_method="client_secret_post")
    holder = Holder(app, house)
    tokens = holder.tokens(browser)
    holder.signer = Signer()
    assert refused(holder.call(tokens["access_token"]), 401, "invalid_token")
    answer = holder.refresh(tokens["refresh_token"]).json()
    assert holder.call(answer["access_token"]).status_code == 200
    assert app.refresh(answer["refresh_token"]).json()["token_type"] == "Bearer"


def test_a_code_can_be_kept_for_a_key(holder: Holder, browser: Browser) -> None:
    """§10: `dpop_jkt` at /authorize; without that key the code is refused, and not spent."""
    code = holder.app.code(browser, dpop_jkt=holder.jkt)
    assert refused(holder.app.redeem(code), 400, "invalid_grant")
    assert refused(Holder(holder.app, holder.house).redeem(code), 400, "invalid_grant")
    assert holder.redeem(code).status_code == 200
    answer = browser.open(holder.app.authorize_url(dpop_jkt="short")).answer
    assert answer["error"] == "invalid_request"


def test_a_pushed_request_is_kept_for_the_key_that_pushed_it(holder: Holder, browser: Browser) -> None:
    """§10.1: a proof at /par, alone or with the same `dpop_jkt`."""
    app = holder.app
    asked = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": app.redirect_uri,
        "code_challenge": app.code_challenge,
        "code_challenge_method": "S256",
    }

    def push(**more: str) -> httpx2.Response:
        return app.http.post(f"{app.url}/par", data=asked | more, headers={"DPoP": holder.proof("POST", "/par")})

    assert refused(push(dpop_jkt=hashed("another")), 400, "invalid_dpop_proof")
    assert push(dpop_jkt=holder.jkt).status_code == 201
    pushed = push().json()
    page = browser.open(f"{app.url}/authorize?client_id={app.client_id}&request_uri={pushed['request_uri']}")
    code = browser.decide(browser.sign_in(page)).answer["code"]
    assert refused(app.redeem(code), 400, "invalid_grant")
    assert holder.redeem(code).status_code == 200


def test_a_device_refreshes_with_its_key(house: House, browser: Browser) -> None:
    """RFC 8628 and §5 together."""
    house.add_user()
    device = Device.of(App(house.url))
    device.decide(browser)
    holder = Holder(device.app, house)
    fields = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device.device_code}
    tokens = device.app.token({"DPoP": holder.proof("POST", "/token")}, **fields).json()
    assert tokens["token_type"] == "DPoP"
    assert refused(device.app.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert holder.refresh(tokens["refresh_token"]).status_code == 200


def test_an_app_can_renounce_bearer_tokens(house: House, browser: Browser) -> None:
    """§5.2: `dpop_bound_access_tokens`."""
    house.add_user()
    app = App(house.url)
    assert app.register(dpop_bound_access_tokens=True)["dpop_bound_access_tokens"] is True
    code = app.code(browser)
    assert refused(app.redeem(code), 400, "invalid_request")
    assert Holder(app, house).redeem(code).status_code == 200
    strange = app.http.post(f"{app.url}/register", json={"dpop_bound_access_tokens": "yes"})
    assert refused(strange, 400, "invalid_redirect_uri") or refused(strange, 400, "invalid_client_metadata")


def test_a_bound_token_is_exchanged_with_its_key_alone(house: House, browser: Browser) -> None:
    """RFC 8693 must not wash the binding off."""
    house.add_user()
    app = App(house.url)
    exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    app.register(grant_types=["authorization_code", "refresh_token", exchange])
    holder = Holder(app, house)
    token = holder.tokens(browser)["access_token"]
    fields = {
        "grant_type": exchange,
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "read",
    }
    assert refused(app.token(**fields), 400, "invalid_request")
    thief = Holder(app, house)
    assert refused(app.token({"DPoP": thief.proof("POST", "/token")}, **fields), 400, "invalid_request")
    narrower = app.token({"DPoP": holder.proof("POST", "/token")}, **fields).json()
    assert narrower["token_type"] == "DPoP"
    assert holder.call(narrower["access_token"]).status_code == 200
    assert refused(app.mcp(WHOAMI, narrower["access_token"]), 401, "invalid_token")


# Where else tokens are used ------------------------------------------------------------------------------------------


def test_every_address_that_takes_tokens_wants_the_proof(holder: Holder, browser: Browser) -> None:
    """/userinfo and /api-keys: a bound token without its proof opens nothing."""
    token = holder.tokens(browser, scope="openid email read api_keys")["access_token"]
    for path in ("/userinfo", "/api-keys"):
        url, bound = f"{holder.app.url}{path}", {"Authorization": f"DPoP {token}"}
        assert holder.app.http.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 401, path
        assert holder.app.http.get(url, headers=bound).status_code == 401, path
        proven = bound | {"DPoP": holder.proof("GET", path, token)}
        assert holder.app.http.get(url, headers=proven).status_code == 200, path
        assert holder.app.http.get(url, headers=proven).status_code == 401, path
    answer = holder.app.http.get(f"{holder.app.url}/userinfo", headers={"Authorization": f"DPoP {token}"})
    assert answer.headers["www-authenticate"].startswith("DPoP ")


def test_introspection_tells_of_the_key(house: House, browser: Browser) -> None:
    """§6.2."""
    house.add_user()
    app = App(house.url)
    app.register(token_endpoint_auth_method="client_secret_post")
    holder = Holder(app, house)
    token = holder.tokens(browser)["access_token"]
    fields = {"token": token, "client_id": app.client_id, "client_secret": app.client_secret}
    answer = app.http.post(f"{app.url}/introspect", data=fields).json()
    assert (answer["token_type"], answer["cnf"]) == ("DPoP", {"jkt": holder.jkt})


def test_revocation_bites_bound_tokens_as_others(holder: Holder, browser: Browser) -> None:
    tokens = holder.tokens(browser)
    fields = {"token": tokens["refresh_token"], "client_id": holder.app.client_id}
    assert holder.app.http.post(f"{holder.app.url}/revoke", data=fields).status_code == 200
    holder.house.catch_up()
    assert refused(holder.call(tokens["access_token"]), 401, "invalid_token")


def test_tools_never_see_the_proof() -> None:
    """As little as the token: the guard passes neither on."""
    scope: Any = {"headers": [(b"dpop", b"x.y.z"), (b"authorization", b"DPoP t"), (b"accept", b"*/*")]}
    assert sorted_headers(scope).inner == [(b"accept", b"*/*")]


def test_browser_apps_may_send_proofs(holder: Holder) -> None:
    """CORS: the header is allowed, the nonce can be read."""
    asked = {"Origin": "http://localhost:5173", "Access-Control-Request-Method": "POST"}
    for path in ("/token", "/mcp"):
        answer = holder.app.http.options(f"{holder.app.url}{path}", headers=asked)
        assert "dpop" in answer.headers["access-control-allow-headers"].split(", ")
    answer = holder.app.http.post(f"{holder.app.url}/token", headers={"Origin": "http://localhost:5173"})
    assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"]


# Nonces --------------------------------------------------------------------------------------------------------------


def test_a_nonce_is_demanded_given_and_grows_old(house: House, demanding: House, browser: Browser) -> None:
    """§8, §9: 400 at /token, 401 at /mcp, each with the nonce to use; it is the same on every replica."""
    demanding.add_user("eve@example.com")
    app = App(demanding.url)
    app.register()
    holder, visitor = Holder(app, demanding), Browser(demanding.url)
    page = visitor.sign_in(visitor.open(app.authorize_url()), email="eve@example.com")
    code = visitor.decide(page).answer["code"]
    first = holder.redeem(code)
    assert refused(first, 400, "use_dpop_nonce")
    nonce = first.headers["dpop-nonce"]
    answer = holder.redeem(code, holder.proof("POST", "/token", nonce=nonce))
    assert answer.status_code == 200, answer.text
    assert answer.headers["dpop-nonce"]
    token = answer.json()["access_token"]
    unasked = holder.call(token)
    assert refused(unasked, 401, "use_dpop_nonce")
    assert unasked.headers["www-authenticate"].startswith('DPoP error="use_dpop_nonce"')
    assert holder.call(token, holder.proof("POST", "/mcp", token, nonce=nonce)).status_code == 200
    assert refused(holder.call(token, holder.proof("POST", "/mcp", token, nonce="made up")), 401, "use_dpop_nonce")
    demanding.turn_clock(seconds=301)
    late = holder.call(token, holder.proof("POST", "/mcp", token, nonce=nonce))
    assert refused(late, 401, "use_dpop_nonce")
    newer = late.headers["dpop-nonce"]
    assert newer != nonce
    assert holder.call(token, holder.proof("POST", "/mcp", token, nonce=newer)).status_code == 200


def test_nobody_without_a_key_hears_of_nonces(demanding: House, house: House) -> None:
    """§8: bearer clients are not troubled."""
    demanding.add_user("eve@example.com")
    app, visitor = App(demanding.url), Browser(demanding.url)
    app.register()
    page = visitor.sign_in(visitor.open(app.authorize_url()), email="eve@example.com")
    answer = app.redeem(visitor.decide(page).answer["code"])
    assert answer.status_code == 200
    assert "dpop-nonce" not in answer.headers
    assert app.call("whoami", answer.json()["access_token"]).status_code == 200


def test_replicas_share_the_nonce() -> None:
    """The nonce is derived from GATEHOUSE_SECRET_KEY: replicas that share it share the nonce."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    keys = ("k" * 40,)
    one, other = (SimpleNamespace(secrets=Secrets.of(keys)) for _ in range(2))
    assert dpop.nonce(one, moment) == dpop.nonce(other, moment)  # type: ignore[arg-type]

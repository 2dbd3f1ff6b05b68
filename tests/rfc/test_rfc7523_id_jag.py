"""RFC 7523 §2.1 and §3, the identity assertion grant (ID-JAG) and MCP's enterprise-managed authorization: a trusted provider vouches."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import jwt
import pytest

from app.settings.read import SettingsError, load
from app.tokens.secrets import b64
from tests.actors import App, Browser, http
from tests.conftest import House
from tests.signers import Provider, Signer, key_set
from tests.websites import Website

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture(scope="module")
def provider(authority: Path) -> Iterator[Provider]:
    """An identity provider with TLS on loopback."""
    website = Website(authority)
    yield Provider(website)
    website.close()


@pytest.fixture(scope="module")
def trusting_house(dsn: str, authority: Path, provider: Provider) -> Iterator[House]:
    house = House(dsn, ca_file=authority, trusted_issuers=(provider.issuer,)).start()
    yield house
    house.stop()


@pytest.fixture
def trusting(house: House, trusting_house: House) -> House:
    """A server that trusts the provider; ada@example.com has an account."""
    trusting_house.catch_up()
    trusting_house.add_user()
    return trusting_house


def made(house: House, *options: str) -> App:
    found = json.loads(house.operator("client", "add", "Desk", "--id-jag", "--json", *options))
    return App(house.url, client_id=found["client_id"], client_secret=found.get("client_secret"))


@pytest.fixture
def app(trusting: House) -> App:
    """A client that the operator made for this grant; registered as quickly as over HTTP."""
    app = App(trusting.url)
    app.register(grant_types=[GRANT], redirect_uris=[], token_endpoint_auth_method="client_secret_post")
    return app


def bring(app: App, assertion: str | None, /, **fields: str | None) -> httpx2.Response:
    return app.token(**{"grant_type": GRANT, "assertion": assertion} | fields)


def refused(response: httpx2.Response, word: str = "invalid_grant", status: int = 400) -> str:
    assert (response.status_code, response.json()["error"]) == (status, word), response.text
    description: str = response.json()["error_description"]
    return description


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


def fresh(app: App, house: House, provider: Provider, **changed: Any) -> str:
    return provider.id_jag(app.client_id, house.url, house.clock(), **changed)


# What it gives ---------------------------------------------------------------------------------------------------------


def test_an_assertion_becomes_a_token(trusting: House, app: App, provider: Provider) -> None:
    """Draft §4.4, EMA §5: restricted to the resource, in the user's name, and nothing to refresh."""
    response = bring(app, fresh(app, trusting, provider))
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["token_type"], answer["scope"]) == ("Bearer", "read write")
    told = claims(answer["access_token"])
    [(user_id,)] = trusting.sql("SELECT id FROM users")
    assert (told["sub"], told["client_id"], told["via"]) == (user_id, app.client_id, "jwt-bearer")
    assert told["aud"] == f"{trusting.url}/mcp"
    assert "connection" not in told
    assert app.call("add_note", answer["access_token"], None, text="x").status_code == 200


def test_it_is_advertised_where_somebody_is_trusted(house: House, trusting: House, app: App) -> None:
    """Draft §7.2: the profile and the grant type together; else neither, and the grant is unknown."""
    for path in (METADATA, "/.well-known/openid-configuration"):
        document = http().get(trusting.url + path).json()
        assert document["authorization_grant_profiles_supported"] == [PROFILE]
        assert GRANT in document["grant_types_supported"]
        other = http().get(house.url + path).json()
        assert "authorization_grant_profiles_supported" not in other
        assert GRANT not in other["grant_types_supported"]
    refused(
        bring(App(house.url, client_id=app.client_id, client_secret=app.client_secret), "x"), "unsupported_grant_type"
    )


@pytest.mark.parametrize("alg", ["ES256", "ES384", "EdDSA", "RS256", "PS256"])
def test_a_provider_may_sign_with_any_algorithm_of_the_list(
    dsn: str, house: House, authority: Path, website: Website, alg: str
) -> None:
    """EMA §7.4.1: an allow-list."""
    provider = Provider(website, signer=Signer(alg))
    own = House(dsn, ca_file=authority, trusted_issuers=(provider.issuer,)).start()
    try:
        own.add_user()
        app = App(own.url)
        app.register(grant_types=[GRANT], redirect_uris=[], token_endpoint_auth_method="client_secret_post")
        assert bring(app, fresh(app, own, provider)).status_code == 200
    finally:
        own.stop()


@pytest.mark.parametrize(
    ("said", "asked", "got"),
    [
        ("read write", None, "read write"),
        ("read", None, "read"),
        ("read", "read write", "read"),
        ("read write", "read", "read"),
        ("write", "read", "read"),
        ("read unheard-of", None, "read"),
        (None, None, "read write"),
        (None, "api_keys", None),
        ("read", "write", None),
        ("read", "bogus", None),
        ("read write api_keys", "api_keys", "api_keys"),
    ],
)
def test_the_scope_is_what_both_say(
    trusting: House, app: App, provider: Provider, said: str | None, asked: str | None, got: str | None
) -> None:
    """EMA §7.2.1: the intersection; the answer says what it became."""
    response = bring(app, fresh(app, trusting, provider, scope=said), scope=asked)
    if got is None:
        refused(response, "invalid_scope")
    else:
        assert response.json()["scope"] == got


def test_the_scope_is_the_registered_one_at_most(trusting: House, provider: Provider) -> None:
    """RFC 7591 §2."""
    app = made(trusting, "--scope", "read")
    assert bring(app, fresh(app, trusting, provider)).json()["scope"] == "read"


@pytest.mark.parametrize("audience", [["{}"], "{}"])
@pytest.mark.parametrize("resource", [None, "{}/mcp", "{}/mcp/", "{}", ["{}/mcp"]])
def test_audience_and_resource_are_ours_in_any_spelling(
    trusting: House, app: App, provider: Provider, audience: Any, resource: Any
) -> None:
    """RFC 7519 §4.1.3; EMA §4.3: `resource` if present, and there is only one here."""

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(part) for part in value]
        return value.format(trusting.url) if value else value

    assertion = fresh(app, trusting, provider, aud=filled(audience), resource=filled(resource))
    assert bring(app, assertion, resource=f"{trusting.url}/mcp").status_code == 200


# What is wrong with it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://evil.example"}, "does not trust"),
        ({"iss": None}, "does not trust"),
        ({"iss": "{idp}/"}, "does not trust"),
        ({"aud": "https://other.example"}, "another audience"),
        ({"aud": "{}/"}, "another audience"),
        ({"aud": "{}/token"}, "another audience"),
        ({"aud": ["{}", "https://other.example"]}, "another audience"),
        ({"aud": []}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": {"a": 1}}, "another audience"),
        ({"client_id": "client_other"}, "another client"),
        ({"client_id": None}, "another client"),
        ({"client_id": ["{client}"]}, "another client"),
        ({"resource": "https://other.example/mcp"}, "another resource"),
        ({"resource": ["{}/mcp", "https://other.example/mcp"]}, "another resource"),
        ({"resource": 7}, "no URI"),
        ({"resource": [7]}, "no URI"),
        ({"resource": "{}/mcp#x"}, "another resource"),
        ({"exp": "{now-90}"}, "expired"),
        ({"exp": "{now+7300}"}, "longer"),
        ({"iat": "{now-7000}"}, "longer"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"exp": True}, "exp"),
        ({"iat": None}, "iat"),
        ({"iat": "{now+120}"}, "not valid yet"),
        ({"nbf": "{now+120}"}, "not valid yet"),
        ({"jti": None}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": "x" * 600}, "jti"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "a\0b"}, "sub"),
        ({"sub": "a\ud800b"}, "sub"),
        ({"scope": "theirs only"}, "no scope"),
        ({"scope": ""}, "no scope"),
        ({"scope": ["read"]}, "no string"),
        ({"cnf": {"jkt": "x"}}, "cnf"),
        ({"padding": "x" * 20_000}, "longer than"),
    ],
)
def test_an_assertion_with_a_fault_is_an_invalid_grant(
    trusting: House, app: App, provider: Provider, changed: dict[str, Any], why: str
) -> None:
    """RFC 7521 §4.1.1, EMA §7.4 and §7.6: the word, and why; nobody is bound by it."""
    now = trusting.clock()

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(part) for part in value]
        if isinstance(value, str) and value.startswith("{now"):
            return int(now.timestamp()) + int(value[4:-1])
        for name, text in (("{}", trusting.url), ("{idp}", provider.issuer), ("{client}", app.client_id)):
            value = value.replace(name, text) if isinstance(value, str) else value
        return value

    assertion = fresh(app, trusting, provider, **{name: filled(value) for name, value in changed.items()})
    assert why in refused(bring(app, assertion))
    assert trusting.sql("SELECT count(*) FROM identities") == [(0,)]


def with_public_key_as_secret(claims: dict[str, Any], signer: Signer) -> str:
    """The classic forgery; the library refuses to make it, so by hand."""
    header = {"alg": "HS256", "typ": "oauth-id-jag+jwt", "kid": signer.kid}
    parts = [b64(json.dumps(part).encode()) for part in (header, claims)]
    mac = hmac.digest(json.dumps(signer.jwk).encode(), ".".join(parts).encode(), "sha256")
    return ".".join([*parts, b64(mac)])


def test_what_the_provider_did_not_sign_so_is_nothing(trusting: House, app: App, provider: Provider) -> None:
    """RFC 8725 §3.1, §3.2, §3.10, §3.11: algorithm, key, type; no `none`, no key of the sender's own."""
    said = provider.claims(app.client_id, trusting.url, trusting.clock())
    signer, good, typ = provider.signer, fresh(app, trusting, provider), "oauth-id-jag+jwt"
    forged = [
        signer.sign(said),  # typ JWT
        signer.sign(said, typ="at+jwt"),
        signer.sign(said, typ=""),
        signer.sign(said, typ=typ, crit=["b64"], b64=True),
        Signer(kid=signer.kid).sign(said, typ=typ),
        Signer("EdDSA", kid=signer.kid).sign(said, typ=typ),
        Signer(kid="unknown").sign(said, typ=typ, jwk=signer.jwk),
        Signer(kid=None).sign(said, typ=typ),
        jwt.encode(said, None, "none", {"typ": typ}),  # type: ignore[arg-type]
        with_public_key_as_secret(said, signer),
        good[:-6] + "AAAAAA",
        good.rsplit(".", 1)[0] + ".",
        "a.b.c",
        "....",
        jwt.PyJWS().encode(
            json.dumps(said | {"iss": [provider.issuer]}).encode(), signer.private, "ES256", {"typ": typ}
        ),
        jwt.PyJWS().encode(b"[]", signer.private, "ES256", {"typ": typ}),
        b64(b'{"alg":"ES256"}') + "." + b64(b"[" * 9000) + ".x",
        "x" * 20_000,
        "é.é.é",
    ]
    for assertion in forged:
        refused(bring(app, assertion))
    refused(bring(app, None), "invalid_request")
    refused(bring(app, ""), "invalid_request")
    assert bring(app, good).status_code == 200
    assert bring(app, signer.sign(said, typ="application/OAuth-ID-JAG+jwt")).status_code == 200, "RFC 7515 §4.1.9"


def test_an_assertion_counts_once(trusting: House, app: App, provider: Provider) -> None:
    """EMA §7.4.2; `tests/races` has fifty at once."""
    assertion = fresh(app, trusting, provider)
    assert bring(app, assertion).status_code == 200
    assert "used before" in refused(bring(app, assertion))
    same = fresh(app, trusting, provider, jti=claims(assertion)["jti"], iat=int(time.time()) - 1)
    assert "used before" in refused(bring(app, same)), "signed anew, under the same name"
    trusting.turn_clock(seconds=280)
    assert "used before" in refused(bring(app, assertion)), "as long as it is valid"
    trusting.clock.ahead *= 0


def test_what_is_refused_for_the_request_is_not_used_up(trusting: House, app: App, provider: Provider) -> None:
    assertion = fresh(app, trusting, provider)
    refused(bring(app, assertion, resource="https://other.example/"), "invalid_target")
    refused(bring(app, assertion, scope="bogus"), "invalid_scope")
    refused(bring(app, assertion, client_secret="wrong"), "invalid_client", 401)
    assert bring(app, assertion).status_code == 200


# Which client ----------------------------------------------------------------------------------------------------------


def test_only_the_client_it_was_given_to(trusting: House, app: App, provider: Provider) -> None:
    """Draft §4.4.1: `client_id` is the authenticated client; a stolen assertion is worth nothing to another."""
    other = App(trusting.url)
    other.register(grant_types=[GRANT], redirect_uris=[], token_endpoint_auth_method="client_secret_basic")
    assertion = fresh(app, trusting, provider)
    assert "another client" in refused(bring(other, assertion))
    assert bring(app, assertion).status_code == 200


def test_a_client_must_prove_itself_and_name_the_grant(trusting: House, provider: Provider) -> None:
    """Draft §9.1: confidential clients; a public one that lists the grant registers without it."""
    public, plain = App(trusting.url), App(trusting.url)
    assert GRANT not in public.register(grant_types=["authorization_code", GRANT])["grant_types"]
    plain.register(token_endpoint_auth_method="client_secret_post")
    for app in (public, plain):
        refused(bring(app, fresh(app, trusting, provider)), "unauthorized_client")
    alone = {"grant_types": [GRANT], "redirect_uris": [], "token_endpoint_auth_method": "none"}
    assert http().post(f"{trusting.url}/register", json=alone).json()["error"] == "invalid_client_metadata"


def test_a_client_of_this_grant_alone_is_registered_as_it_is(trusting: House, app: App) -> None:
    """RFC 7591 §3.2.1: the answer does not promise a refresh token that there is not."""
    document = {"grant_types": [GRANT], "redirect_uris": [], "token_endpoint_auth_method": "client_secret_post"}
    answer = http().post(f"{trusting.url}/register", json=document).json()
    assert (answer["grant_types"], answer["response_types"]) == ([GRANT], [])
    both = app.register(grant_types=["authorization_code", GRANT], token_endpoint_auth_method="client_secret_post")
    assert both["grant_types"] == ["authorization_code", "refresh_token", GRANT]


def test_a_client_made_by_the_operator(trusting: House, provider: Provider) -> None:
    """One registration for both ways in: with an assertion, and in the browser where there is none."""
    app = made(trusting)
    assert bring(app, fresh(app, trusting, provider)).status_code == 200
    both = made(trusting, "--redirect-uri", "http://127.0.0.1:3030/callback")
    assert bring(both, fresh(both, trusting, provider)).status_code == 200
    assert both.connect(Browser(trusting.url))["refresh_token"]
    assert "public" in trusting.operator("client", "add", "Desk", "--id-jag", "--public", code=2)


def test_a_client_by_document_that_signs(trusting: House, provider: Provider, website: Website) -> None:
    """EMA §5: the client_id may be a URL, with private_key_jwt; without keys it proves nothing."""
    signer = Signer()
    document = {
        "client_id": website.url + "/client.json",
        "client_name": "Quill",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", GRANT],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [signer.jwk]},
    }
    app = App(trusting.url, client_id=website.publish("/client.json", document))
    proof = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signer.assertion(app.client_id, trusting.url, trusting.clock()),
    }
    assert bring(app, fresh(app, trusting, provider), **proof).status_code == 200
    document |= {"client_id": website.url + "/public.json", "token_endpoint_auth_method": "none"}
    public = App(trusting.url, client_id=website.publish("/public.json", document))
    refused(bring(public, fresh(public, trusting, provider)), "unauthorized_client")


# Which user ------------------------------------------------------------------------------------------------------------


def test_an_account_is_found_by_e_mail_once_and_by_subject_ever_after(
    trusting: House, app: App, provider: Provider
) -> None:
    """OIDC Core §5.7: only `iss` and `sub` name somebody for good. The first time is audited, the second is no news."""
    for email in ("Ada@Example.com", "ada.married@example.com", None):
        assert bring(app, fresh(app, trusting, provider, email=email)).status_code == 200
    events = trusting.sql("SELECT event, client_id, detail FROM audit_events WHERE event LIKE 'identity.%'")
    assert events == [("identity.bound", app.client_id, {"issuer": provider.issuer, "subject": "U019488227"})]
    bound = trusting.sql("SELECT subject, users.email FROM identities JOIN users ON id = user_id")
    assert bound == [("U019488227", "ada@example.com")]


@pytest.mark.parametrize(
    "changed",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email": None},
        {"email": ["ada@example.com"]},
        {"email": "ada"},
        {"email": "ada@example.com\0"},
        {"email": "bob@example.com"},
    ],
)
def test_nobody_is_bound_by_hearsay(trusting: House, app: App, provider: Provider, changed: dict[str, Any]) -> None:
    """OIDC Core §5.7; and nobody gets an account in this way."""
    refused(bring(app, fresh(app, trusting, provider, **changed)))
    assert trusting.sql("SELECT count(*) FROM identities") == [(0,)]
    assert trusting.sql("SELECT count(*) FROM users") == [(1,)]


def test_an_address_that_was_given_to_somebody_else(trusting: House, app: App, provider: Provider) -> None:
    """A second subject with Ada's address is not Ada: providers hand addresses on, subjects they do not (OIDC Core §2)."""
    assert bring(app, fresh(app, trusting, provider)).status_code == 200
    assert "another subject" in refused(bring(app, fresh(app, trusting, provider, sub="U2")))
    trusting.operator("identity", "remove", "--issuer", provider.issuer, "--subject", "U019488227")
    assert bring(app, fresh(app, trusting, provider, sub="U2")).status_code == 200


def test_the_operator_says_whom_a_subject_means(trusting: House, app: App, provider: Provider) -> None:
    """For issuers that do not vouch for addresses; taken back, its tokens end within a second."""
    named = ["--issuer", provider.issuer, "--subject", "U7"]
    trusting.operator("identity", "add", "ada@example.com", *named)
    assert "another counterpart" in trusting.operator("identity", "add", "ada@example.com", *named, code=1)
    assert "no account" in trusting.operator("identity", "add", "bob@example.com", *named, code=1)
    token = bring(app, fresh(app, trusting, provider, sub="U7", email=None)).json()["access_token"]
    [row] = json.loads(trusting.operator("identity", "list", "--json"))
    assert (row["email"], row["issuer"], row["subject"]) == ("ada@example.com", provider.issuer, "U7")
    trusting.operator("identity", "remove", *named)
    trusting.catch_up()
    assert app.call("whoami", token).status_code == 401
    refused(bring(app, fresh(app, trusting, provider, sub="U7", email=None)))
    assert "no such identity" in trusting.operator("identity", "remove", *named, code=1)


def test_a_disabled_user_is_nobody(trusting: House, app: App, provider: Provider) -> None:
    """Bound before or not; the tokens end within a second."""
    bob = trusting.add_user("bob@example.com")
    token = bring(app, fresh(app, trusting, provider)).json()["access_token"]
    for email in ("ada@example.com", "bob@example.com"):
        trusting.operator("user", "disable", email)
    trusting.catch_up()
    assert app.call("whoami", token).status_code == 401
    assert "disabled" in refused(bring(app, fresh(app, trusting, provider)))
    refused(bring(app, fresh(app, trusting, provider, sub="U2", email="bob@example.com")))
    assert trusting.sql("SELECT count(*) FROM identities WHERE user_id = :bob", bob=bob) == [(0,)]


def test_a_removed_client_ends_at_once(trusting: House, provider: Provider) -> None:
    app = made(trusting)
    token = bring(app, fresh(app, trusting, provider)).json()["access_token"]
    trusting.operator("client", "revoke", app.client_id)
    trusting.catch_up()
    assert app.call("whoami", token).status_code == 401
    refused(bring(app, fresh(app, trusting, provider)), "invalid_client", 401)


# The provider's keys ---------------------------------------------------------------------------------------------------


@pytest.fixture
def moved(dsn: str, house: House, authority: Path, website: Website) -> Iterator[tuple[House, Provider, App]]:
    """A server of its own, whose clock may be turned and whose provider may change."""
    provider = Provider(website, "/tenant")
    own = House(dsn, ca_file=authority, trusted_issuers=(provider.issuer,)).start()
    own.add_user()
    app = App(own.url)
    app.register(grant_types=[GRANT], redirect_uris=[], token_endpoint_auth_method="client_secret_post")
    yield own, provider, app
    own.stop()


def test_keys_may_be_exchanged_for_new_ones(moved: tuple[House, Provider, App]) -> None:
    """EMA §7.4.1: an unknown `kid` is looked for, at most once a minute; a key that is gone proves nothing."""
    house, provider, app = moved
    website, keys = provider.website, "/tenant/keys"
    for _ in range(3):
        assert bring(app, fresh(app, house, provider)).status_code == 200
    assert website.visits[keys] == 1
    old, provider.signer = provider.signer, Signer()
    provider.publish()
    assert "not signed" in refused(bring(app, fresh(app, house, provider)))
    assert website.visits[keys] == 1, "not fetched again within the minute"
    house.turn_clock(seconds=61)
    assert bring(app, fresh(app, house, provider)).status_code == 200
    assert website.visits[keys] == 2
    provider.signer = old
    refused(bring(app, fresh(app, house, provider)))


def test_metadata_where_rfc8414_has_it(moved: tuple[House, Provider, App]) -> None:
    """RFC 8414 §3.1: the well-known part goes before the issuer's path."""
    house, provider, app = moved
    website = provider.website
    website.remove("/tenant/.well-known/openid-configuration")
    document = {"issuer": provider.issuer, "jwks_uri": website.url + "/tenant/keys"}
    website.publish("/.well-known/oauth-authorization-server/tenant", document)
    assert bring(app, fresh(app, house, provider)).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        "gone",
        "slow",
        "slow twice",
        "other issuer",
        "slash",
        "no keys",
        "plain http",
        "keys gone",
        "no key set",
        "not json",
        "a list",
        "too large",
        "elsewhere",
    ],
)
def test_a_provider_that_cannot_be_asked_is_no_fault_of_the_assertion(
    moved: tuple[House, Provider, App], fault: str
) -> None:
    """503, never 500, and the assertion is still good when the provider is back."""
    house, provider, app = moved
    let_go = Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        let_go.wait(20)

    website, place = provider.website, "/tenant/.well-known/openid-configuration"
    assertion = fresh(app, house, provider)
    if fault == "gone":
        website.remove(place)
    elif fault.startswith("slow"):
        website.answers(place, slow)
        if fault == "slow twice":
            website.answers("/.well-known/oauth-authorization-server/tenant", slow)
    elif fault == "other issuer":
        provider.publish(issuer="https://other.example")
    elif fault == "slash":
        provider.publish(issuer=provider.issuer + "/")
    elif fault == "no keys":
        provider.publish(jwks_uri=None)
    elif fault == "plain http":
        provider.publish(jwks_uri=provider.issuer.replace("https", "http") + "/keys")
    elif fault == "keys gone":
        website.remove("/tenant/keys")
    elif fault == "no key set":
        website.publish("/tenant/keys", {"keys": "x"})
    elif fault == "not json":
        website.publish(place, b"{")
    elif fault == "a list":
        website.publish(place, [provider.issuer])
    elif fault == "too large":
        provider.publish(padding="x" * 70_000)
    else:
        website.publish(place, b"", 302, Location="https://other.example/")
    began = time.monotonic()
    response = bring(app, assertion)
    assert provider.issuer in refused(response, "temporarily_unavailable", 503)
    assert int(response.headers["retry-after"]) > 0
    assert time.monotonic() - began < 6.5
    let_go.set()
    provider.publish()
    assert bring(app, assertion).status_code == 200


def test_a_provider_that_is_away_for_a_while_is_still_believed(moved: tuple[House, Provider, App]) -> None:
    """Stale keys for an hour; then 503."""
    house, provider, app = moved
    provider.publish()
    assert bring(app, fresh(app, house, provider)).status_code == 200
    for path in ("/tenant/keys", "/tenant/.well-known/openid-configuration"):
        provider.website.remove(path)
    house.turn_clock(minutes=70)
    assert bring(app, fresh(app, house, provider)).status_code == 200
    house.turn_clock(minutes=60)
    refused(bring(app, fresh(app, house, provider)), "temporarily_unavailable", 503)


def test_what_the_provider_says_of_an_hour_ago_is_kept_as_it_asks(moved: tuple[House, Provider, App]) -> None:
    """RFC 9111 §5.2.2.1 within bounds: a key that is taken back is refused once its set is due."""
    house, provider, app = moved
    provider.website.publish("/tenant/keys", key_set(provider.signer), Cache_Control="max-age=120")
    assert bring(app, fresh(app, house, provider)).status_code == 200
    provider.website.publish("/tenant/keys", key_set(Signer(kid=provider.signer.kid)))
    house.turn_clock(seconds=121)
    refused(bring(app, fresh(app, house, provider)))


def test_what_the_operator_names_may_be_at_home_and_what_a_stranger_names_may_not(
    dsn: str, house: House, authority: Path, website: Website
) -> None:
    """On a public server loopback is as private as any network: a provider and a program's keys may be there, and nobody
    else's, not even at the very same address while it is known."""
    provider = Provider(website)
    own = House(
        dsn, ca_file=authority, public_url="https://mcp.example.com", trusted_issuers=(provider.issuer,)
    ).start()
    try:
        own.add_user()
        local = f"http://127.0.0.1:{own._listener.getsockname()[1]}"
        app = App(local)
        app.register(grant_types=[GRANT], redirect_uris=[], token_endpoint_auth_method="client_secret_post")
        assertion = provider.id_jag(app.client_id, own.settings.issuer, own.clock())
        assert bring(app, assertion).status_code == 200
        keys = ["--jwks-uri", f"{provider.issuer}/keys", "--user", "ada@example.com"]
        ours = json.loads(own.operator("client", "add", "Nightly", "--client-credentials", "--json", *keys))
        stranger = App(local)
        stranger.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=f"{provider.issuer}/keys")
        for client_id, status in ((ours["client_id"], 200), (stranger.client_id, 401)):
            signed = provider.signer.assertion(client_id, own.settings.issuer, own.clock())
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": signed,
            }
            answer = http().post(f"{local}/token", data=form)
            assert answer.status_code == status, answer.text
        assert "public internet" in answer.json()["error_description"]
    finally:
        own.stop()


@pytest.mark.parametrize(
    ("issuers", "why"),
    [
        ("http://idp.example", "https"),
        ("https://idp.example?x=1", "https"),
        ("https://idp.example#x", "https"),
        ("https://a:b@idp.example", "https"),
        ("idp.example", "https"),
        ("https://mcp.example.com/", "itself"),
    ],
)
def test_a_setting_that_trusts_the_wrong_is_refused(issuers: str, why: str) -> None:
    """RFC 8414 §2; draft §9.3: never ourselves."""
    given = {"public_url": "https://mcp.example.com", "database_url": "postgresql://x/x", "secret_key": "k" * 40}
    with pytest.raises(SettingsError, match=f"GATEHOUSE_TRUSTED_ISSUERS must .*{why}"):
        load(**given, trusted_issuers=f"https://good.example {issuers}")
    assert load(**given, trusted_issuers="https://a.example, https://b.example/t").trusted_issuers == (
        "https://a.example",
        "https://b.example/t",
    )

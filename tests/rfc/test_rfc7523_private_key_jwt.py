"""RFC 7523 §2.2 and §3: private_key_jwt, a client that signs instead of sharing a secret."""

from __future__ import annotations

import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from app.clients.assertion import JWT_BEARER
from app.tokens.secrets import b64
from tests.actors import App, Browser, http
from tests.conftest import House
from tests.signers import Signer, key_set
from tests.websites import Website

NO_ADDRESSES = (
    "https://a:99999/j",
    "https://a:0/j",
    "https://h:abc/",
    "https://[::1/j",
    "https://[1::2::3]/j",
    "https://a..b/j",
    "https://" + "x" * 70 + ".example/j",
    "https:///j",
    "https://u:p@a/j",
    "https://" + "u" * 187 + "@[::1]:1/j",
    "https://a b/",
    "https://a;b/",
    "https://a.example/\x1b]0;j",
    "https://\u00e9.example/j",
)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def signing(house: House, signer: Signer) -> App:
    """A registered client with its keys in the registration."""
    house.add_user()
    app = App(house.url)
    answer = app.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [signer.jwk]})
    assert "client_secret" not in answer
    return app


def refresh(app: App, token: str, assertion: str, **changed: str | None) -> Any:
    proof = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER, "client_id": None}
    return app.refresh(token, **proof | changed)


def connected(house: House, app: App, signer: Signer, browser: Browser) -> str:
    proof = {"client_assertion": signer.assertion(app.client_id, house.url, house.clock())}
    answer = app.redeem(app.code(browser), client_assertion_type=JWT_BEARER, **proof)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["refresh_token"]
    return token


@pytest.mark.parametrize("alg", ["ES256", "ES384", "EdDSA", "RS256", "PS256"])
@pytest.mark.parametrize("audience", ["{}", "{}/token", ["{}"]])
def test_a_client_signs_in_with_its_key(house: House, browser: Browser, alg: str, audience: Any) -> None:
    """§3: the audience is the issuer, or the token endpoint as older clients say; client_id may be absent (RFC 7521 §4.2)."""
    house.add_user()
    signer, app = Signer(alg), App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [signer.jwk]})
    token = connected(house, app, signer, browser)
    named = audience.format(house.url) if isinstance(audience, str) else [house.url]
    for client_id in (None, app.client_id):
        answer = refresh(app, token, signer.assertion(app.client_id, named, house.clock()), client_id=client_id)
        assert answer.status_code == 200, answer.text
        token = answer.json()["refresh_token"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"aud": "https://elsewhere.example"}, "audience"),
        ({"aud": ["{}", "https://elsewhere.example"]}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": {"a": 1}}, "audience"),
        ({"aud": "{}/"}, "audience"),
        ({"iss": "somebody"}, "iss"),
        ({"exp": "{now-90}"}, "expired"),
        ({"exp": "{now+7200}"}, "longer"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"exp": True}, "exp"),
        ({"nbf": "{now+120}"}, "not valid yet"),
        ({"iat": "{now+120}"}, "not valid yet"),
        ({"jti": None}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "x" * 600}, "jti"),
    ],
)
def test_an_assertion_with_a_fault_is_invalid_client(
    house: House, signing: App, signer: Signer, browser: Browser, changed: dict[str, Any], why: str
) -> None:
    """§3 and §3.2."""
    token = connected(house, signing, signer, browser)
    now = house.clock()

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(part) for part in value]
        if isinstance(value, str) and value.startswith("{now"):
            return int(now.timestamp()) + int(value[4:-1])
        return value.replace("{}", house.url) if isinstance(value, str) else value

    claims = {name: filled(value) for name, value in changed.items()}
    answer = refresh(signing, token, signer.assertion(signing.client_id, house.url, now, **claims))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert why in answer.json()["error_description"]
    good = signer.assertion(signing.client_id, house.url, now)
    assert refresh(signing, token, good).status_code == 200, "the token was not touched"


def with_public_key_as_secret(claims: dict[str, Any], signer: Signer) -> str:
    """The classic forgery; the library refuses to make it, so by hand."""
    header = {"alg": "HS256", "typ": "JWT", "kid": signer.kid}
    parts = [b64(json.dumps(part).encode()) for part in (header, claims)]
    mac = hmac.digest(json.dumps(signer.jwk).encode(), ".".join(parts).encode(), "sha256")
    return ".".join([*parts, b64(mac)])


def test_who_signs_with_another_key_or_none_is_nobody(
    house: House, signing: App, signer: Signer, browser: Browser
) -> None:
    """RFC 8725 §3.1 and §3.2: the algorithm is the key's, never the token's; no `none`, no HMAC with a public key."""
    token, now = connected(house, signing, signer, browser), house.clock()
    good = signer.assertion(signing.client_id, house.url, now)
    claims = jwt.decode(good, options={"verify_signature": False})
    forged = [
        Signer(kid=signer.kid).assertion(signing.client_id, house.url, now),
        Signer("EdDSA", kid=signer.kid).assertion(signing.client_id, house.url, now),
        jwt.encode(claims, None, "none"),  # type: ignore[arg-type]
        with_public_key_as_secret(claims, signer),
        Signer(kid="other").sign(claims, jwk=signer.jwk),
        signer.sign(claims, crit=["b64"], b64=True),
        good[:-6] + "AAAAAA",
        good.rsplit(".", 1)[0] + ".",
        "a.b.c",
        "x" * 20_000,
        "é.é.é",
    ]
    for assertion in forged:
        answer = refresh(signing, token, assertion)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), assertion[:80]
    assert refresh(signing, token, good).status_code == 200


def test_an_assertion_counts_once_however_many_send_it(
    house: House, signing: App, signer: Signer, browser: Browser
) -> None:
    """§3: `jti`; one row decides for all replicas."""
    token = connected(house, signing, signer, browser)
    assertion = signer.assertion(signing.client_id, house.url, house.clock())
    with ThreadPoolExecutor(20) as crowd:
        answers = list(crowd.map(lambda _: refresh(signing, token, assertion).status_code, range(20)))
    assert sorted(answers) == [200] + [401] * 19


def test_a_client_that_signs_has_no_other_way_in(house: House, signing: App, signer: Signer, browser: Browser) -> None:
    """RFC 6749 §2.3: nor may another client use an assertion, or two ways be used at once."""
    token, now = connected(house, signing, signer, browser), house.clock()
    app = App(house.url)
    app.register()
    for without in (signing.refresh(token), signing.refresh(token, client_secret="x")):
        assert (without.status_code, without.json()["error"]) == (401, "invalid_client")
    fresh = signer.assertion(signing.client_id, house.url, now)
    assert refresh(signing, token, fresh, client_assertion_type="urn:other").json()["error"] == "invalid_request"
    assert refresh(signing, token, fresh, client_secret="x").json()["error"] == "invalid_request"
    assert refresh(signing, token, fresh, client_id=app.client_id).json()["error"] == "invalid_request"
    mine = signer.assertion(app.client_id, house.url, now)
    answer = refresh(app, token, mine)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_keys_at_an_address_may_be_exchanged_for_new_ones(
    house: House, website: Website, signer: Signer, browser: Browser
) -> None:
    """RFC 7591 §2 jwks_uri, as ChatGPT does: an unknown kid is looked for, at most once a minute."""
    house.add_user()
    uri = website.publish("/jwks.json", key_set(signer))
    app = App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=uri)
    token = connected(house, app, signer, browser)
    for _ in range(3):
        token = refresh(app, token, signer.assertion(app.client_id, house.url, house.clock())).json()["refresh_token"]
    assert website.visits["/jwks.json"] == 1
    newer = Signer()
    website.publish("/jwks.json", key_set(newer))
    unknown = newer.assertion(app.client_id, house.url, house.clock())
    assert refresh(app, token, unknown).status_code == 401
    house.turn_clock(seconds=61)
    assert refresh(app, token, newer.assertion(app.client_id, house.url, house.clock())).status_code == 200
    assert website.visits["/jwks.json"] == 2


def test_keys_whose_host_is_away_serve_for_an_hour(
    house: House, website: Website, signer: Signer, browser: Browser
) -> None:
    """And it is asked again once a minute, not by every request."""
    house.add_user()
    app = App(house.url)
    uri = website.publish("/jwks.json", key_set(signer), Cache_Control="max-age=60")
    app.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=uri)
    token = connected(house, app, signer, browser)
    website.publish("/jwks.json", b"", 500)
    for seconds, status, visits in ((61, 200, 2), (1, 200, 2), (60, 200, 3), (3600, 503, 4)):
        house.turn_clock(seconds=seconds)
        answer = refresh(app, token, signer.assertion(app.client_id, house.url, house.clock()))
        assert (answer.status_code, website.visits["/jwks.json"]) == (status, visits), seconds
        token = answer.json().get("refresh_token", token)


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (500, b"", 503),
        (503, b"", 503),
        (429, b"", 503),
        (403, b"robot?", 503),
        (404, b"", 401),
        (302, b"", 401),
        (200, b'{"keys": 7}', 401),
        (200, b"not json", 401),
    ],
)
def test_keys_that_are_away_for_the_moment_cost_no_registration(
    house: House, website: Website, signer: Signer, status: int, body: bytes, refused: int
) -> None:
    """RFC 6749 §5.2: on `invalid_client` clients register anew, so it is said of what is wrong and stays so."""
    app = App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=website.publish("/jwks.json", body, status))
    answer = refresh(app, "gh_rt_x", signer.assertion(app.client_id, house.url, house.clock()))
    word = "temporarily_unavailable" if refused == 503 else "invalid_client"
    assert (answer.status_code, answer.json()["error"]) == (refused, word)
    assert "the keys of this client could not be read: " in answer.json()["error_description"]
    assert answer.headers.get("retry-after") == ("60" if refused == 503 else None)


@pytest.mark.parametrize("uri", ["https://nowhere.invalid/jwks", "{closed}/jwks"])
def test_a_host_of_keys_that_is_not_there_may_come_back(
    house: House, website: Website, signer: Signer, uri: str
) -> None:
    website.close()
    app = App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=uri.replace("{closed}", website.url))
    answer = refresh(app, "gh_rt_x", signer.assertion(app.client_id, house.url, house.clock()))
    assert (answer.status_code, answer.headers.get("retry-after")) == (503, "60")


@pytest.mark.parametrize(("body", "status"), [(b"", 500), (b"[]", 200)])
def test_keys_that_cannot_be_had_are_asked_for_once_a_minute(
    house: House, website: Website, signer: Signer, body: bytes, status: int
) -> None:
    """Anybody may register and send assertions; that must not make a stranger's host hear from us each time."""
    uri = website.publish("/jwks.json", body, status)
    app = App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=uri)
    for visits in (1, 2):
        for _ in range(40):
            answer = refresh(app, "gh_rt_x", signer.assertion(app.client_id, house.url, house.clock()))
            assert "keys of this client could not be read" in answer.json()["error_description"]
        assert website.visits["/jwks.json"] == visits
        house.turn_clock(seconds=61)
    website.publish("/jwks.json", key_set(signer))
    house.turn_clock(seconds=61)
    answer = refresh(app, "gh_rt_x", signer.assertion(app.client_id, house.url, house.clock()))
    assert answer.json()["error"] == "invalid_grant", "the client is known again"


def test_whoever_names_ever_new_keys_has_a_limit(house: House, website: Website, signer: Signer) -> None:
    """As for documents: 30 fetches a minute for one caller's address."""
    statuses = []
    for number in range(32):
        app = App(house.url)
        app.register(token_endpoint_auth_method="private_key_jwt", jwks_uri=f"{website.url}/{number}.json")
        answer = refresh(app, "gh_rt_x", signer.assertion(app.client_id, house.url, house.clock()))
        statuses.append(answer.status_code)
    assert statuses[30:] == [429, 429]
    assert website.visits.total() == 30


def test_a_document_may_bring_the_keys(house: House, website: Website, signer: Signer, browser: Browser) -> None:
    """CIMD §4.2 and check 30: a document that registers private_key_jwt is held to it."""
    house.add_user()
    document = {
        "client_id": website.url + "/client.json",
        "client_name": "Quill",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [signer.jwk]},
    }
    app = App(house.url, client_id=website.publish("/client.json", document))
    assert app.redeem(app.code(browser)).status_code == 401
    connected(house, app, signer, browser)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"jwks": {"keys": []}},
        {"jwks": []},
        {"jwks": "x"},
        {"jwks": [{"kty": "EC"}]},
        {"jwks": {"keys": ["x"]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
        {"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "c"}]}},
        {"jwks_uri": "http://example.com/jwks"},
        {"jwks_uri": "https://example.com/jwks", "jwks": {"keys": [{"kty": "EC"}]}},
        {"jwks_uri": 7},
        *[{"jwks_uri": uri} for uri in NO_ADDRESSES],
    ],
)
def test_a_registration_without_proper_keys_is_refused(house: House, metadata: dict[str, Any]) -> None:
    document = {"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "private_key_jwt"}
    answer = http().post(f"{house.url}/register", json=document | metadata)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.parametrize(
    "uri", ["https://a.example/j", "https://a_b.example:8443?x[]=1", "https://[::1]/j", "https://1.2.3.4"]
)
def test_a_registration_may_name_any_address_that_is_one(house: House, uri: str) -> None:
    document = {"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "private_key_jwt"}
    assert http().post(f"{house.url}/register", json=document | {"jwks_uri": uri}).status_code == 201


@pytest.mark.parametrize(
    "keys",
    [
        {"jwks": [{"kty": "EC"}]},
        *[{"jwks_uri": f"https://{place}/j"} for place in ("a:99999", "h:abc", "[::1", "[1::2::3]")],
    ],
)
def test_keys_that_were_registered_before_they_were_looked_at_prove_nothing(
    house: House, signing: App, signer: Signer, keys: dict[str, Any]
) -> None:
    """Of the time when a registration took them."""
    house.sql(
        "UPDATE clients SET metadata = metadata - 'jwks' || CAST(:keys AS jsonb) WHERE client_id = :client_id",
        keys=json.dumps(keys),
        client_id=signing.client_id,
    )
    answer = refresh(signing, "gh_rt_x", signer.assertion(signing.client_id, house.url, house.clock()))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert "keys of this client could not be read" in answer.json()["error_description"]


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "EC"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "!"},
        {"kty": 7},
        {"kty": "EC", "crv": "P-256", "x": {}, "y": []},
    ],
)
def test_keys_that_are_none_prove_nothing(house: House, signer: Signer, key: dict[str, Any]) -> None:
    app = App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key]})
    answer = refresh(app, "gh_rt_x", signer.assertion(app.client_id, house.url, house.clock()))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_weak_rsa_keys_prove_nothing(house: House) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak, app = Signer("RS256", private=rsa.generate_private_key(65537, 1024)), App(house.url)
    app.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": [weak.jwk]})
    answer = refresh(app, "gh_rt_x", weak.assertion(app.client_id, house.url, house.clock()))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")

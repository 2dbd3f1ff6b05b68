"""RFC 9068 and RFC 8725: what an access token is, and everything that is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.actors import App, Browser
from tests.conftest import House


@pytest.fixture
def token(app: App, browser: Browser) -> str:
    token: str = app.connect(browser)["access_token"]
    return token


def key_of(house: House) -> ec.EllipticCurvePrivateKey:
    private = house.world.live.ring.signer(house.clock()).private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private


def test_the_claims_are_those_of_the_profile(app: App, token: str, house: House) -> None:
    """§2.2; checked with the published key by somebody else's library."""
    jwks = jwt.PyJWKSet.from_dict(app.http.get(f"{app.url}/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    key = next(key for key in jwks.keys if key.key_id == header["kid"])
    claims = jwt.decode(token, key, ["ES256"], audience=f"{house.url}/mcp", issuer=house.url)
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["client_id"] == app.client_id
    assert claims["scope"] == "read write"
    assert claims["sub"].startswith("usr_")
    assert len(claims["jti"]) >= 20


Forge = Callable[[dict[str, Any], dict[str, Any], House], str]


def signed(claims: dict[str, Any], header: dict[str, Any], key: Any, algorithm: str) -> str:
    return jwt.encode(claims, key, algorithm, header)


def raw(claims: dict[str, Any], header: dict[str, Any], signature: bytes = b"") -> str:
    def part(document: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(claims)}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def ours(claims: dict[str, Any], header: dict[str, Any], house: House, **changed: Any) -> str:
    return signed({k: v for k, v in (claims | changed).items() if v is not None}, header, key_of(house), "ES256")


def pem(house: House) -> bytes:
    return key_of(house).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def hs256_with(secret: Callable[[House], bytes]) -> Forge:
    """Algorithm confusion: our public key as an HMAC secret. PyJWT would refuse to make it, so by hand."""

    def forge(claims: dict[str, Any], header: dict[str, Any], house: House) -> str:
        import hashlib
        import hmac

        unsigned = raw(claims, header | {"alg": "HS256"}).rsplit(".", 1)[0]
        mac = hmac.digest(secret(house), unsigned.encode(), hashlib.sha256)
        return unsigned + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    return forge


FORGERIES: dict[str, Forge] = {
    "alg none": lambda c, h, house: raw(c, h | {"alg": "none"}),
    "alg None": lambda c, h, house: raw(c, h | {"alg": "None"}),
    "no signature": lambda c, h, house: raw(c, h | {"alg": "ES256"}),
    "psychic signature": lambda c, h, house: raw(c, h | {"alg": "ES256"}, b"\0" * 64),
    "HS256 with our PEM": hs256_with(pem),
    "HS256 with nothing": hs256_with(lambda house: b""),
    "another EC key": lambda c, h, house: signed(c, h, ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "an RSA key": lambda c, h, house: signed(c, h, rsa.generate_private_key(65537, 2048), "RS256"),
    "no kid": lambda c, h, house: ours(c, {"typ": "at+jwt"}, house),
    "unknown kid": lambda c, h, house: ours(c, h | {"kid": "x"}, house),
    "kid of another type": lambda c, h, house: raw(c, h | {"alg": "ES256", "kid": ["x"]}, b"\0" * 64),
    "jwk in the header": lambda c, h, house: signed(
        c, h | {"jwk": {"kty": "EC"}}, ec.generate_private_key(ec.SECP256R1()), "ES256"
    ),
    "unknown crit": lambda c, h, house: ours(c, h | {"crit": ["x"], "x": 1}, house),
    "typ JWT": lambda c, h, house: ours(c, h | {"typ": "JWT"}, house),
    "an ID-JAG": lambda c, h, house: ours(c, h | {"typ": "oauth-id-jag+jwt"}, house),
    "other issuer": lambda c, h, house: ours(c, h, house, iss="https://evil.example"),
    "issuer with a slash": lambda c, h, house: ours(c, h, house, iss=house.url + "/"),
    "other audience": lambda c, h, house: ours(c, h, house, aud="https://other.example/mcp"),
    "issuer as audience": lambda c, h, house: ours(c, h, house, aud=house.url),
    "no audience": lambda c, h, house: ours(c, h, house, aud=None),
    "expired": lambda c, h, house: ours(c, h, house, exp=1),
    "no exp": lambda c, h, house: ours(c, h, house, exp=None),
    "no client_id": lambda c, h, house: ours(c, h, house, client_id=None),
    "no sub": lambda c, h, house: ours(c, h, house, sub=None),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_token_is_refused(app: App, token: str, house: House, name: str) -> None:
    """RFC 8725 §2 and §3; RFC 9068 §4."""
    claims = jwt.decode(token, options={"verify_signature": False})
    header = {k: v for k, v in jwt.get_unverified_header(token).items() if k != "alg"}
    response = app.call("whoami", FORGERIES[name](claims, header, house))
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert app.call("whoami", ours(claims, header, house)).status_code == 200, "the same, unforged, passes"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_changed_part_is_noticed(app: App, token: str, at: int) -> None:
    parts = token.split(".")
    parts[at] = ("B" if parts[at][5] != "B" else "C").join((parts[at][:5], parts[at][6:]))
    assert app.call("whoami", ".".join(parts)).status_code == 401


def test_a_remembered_token_expires_all_the_same(app: App, token: str, house: House) -> None:
    assert app.call("whoami", token).status_code == 200
    house.turn_clock(seconds=3601)
    assert app.call("whoami", token).status_code == 401

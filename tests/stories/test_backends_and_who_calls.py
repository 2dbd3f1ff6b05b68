"""What a remote server is sent instead of the caller's token, and how it can check that (RFC 7519, RFC 8725 §3.11)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import jwt
import pytest
from pydantic import SecretStr

from app.gate.backends import credentials
from app.resources.model import IdentityHeader, IdentityToken, Secret, Upstream, UrlBackend
from tests.backends import Backend, Front, Received, Wire, fronted
from tests.conftest import ROOT, House

SHARED = "a secret of the backend and the gateway"


async def fine(asked: Received, wire: Wire) -> None:
    await wire.result(asked)


class Stand:
    def __init__(self, house: House, stack: ExitStack) -> None:
        self.house = house
        self._stack = stack
        self.backend = Backend(fine)
        stack.callback(self.backend.close)

    def sending(self, send: Any, **options: Any) -> Front:
        return self._stack.enter_context(fronted(self.house, UrlBackend(self.backend.url, send), **options))

    def seen(self, name: str) -> str:
        value = self.backend.received[-1].header(name)
        assert value is not None
        return value


@pytest.fixture
def stand(house: House) -> Iterator[Stand]:
    with ExitStack() as stack:
        yield Stand(house, stack)


def test_nothing(stand: Stand) -> None:
    stand.sending(None).call()
    assert stand.backend.received[0].header("authorization") is None


def test_a_fixed_secret(stand: Stand) -> None:
    front = stand.sending(Secret(SecretStr("Bearer s3cret")))
    front.call()
    assert stand.seen("authorization") == "Bearer s3cret"
    stand.sending(Secret(SecretStr("k"), "X-Api-Key")).call(X_Api_Key="mine")
    assert [value for name, value in stand.backend.received[-1].headers if name == "x-api-key"] == ["k"]


def test_a_token_that_our_keys_have_signed(stand: Stand) -> None:
    """All that the backend needs is our JWKS, its own address, and the type."""
    stand.sending(IdentityToken("", lifetime=60)).call()
    scheme, token = stand.seen("authorization").split(" ")
    assert scheme == "Bearer"
    keys = jwt.PyJWKSet.from_dict(httpx2.get(f"{stand.house.url}/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("identity+jwt", "ES256")
    claims = jwt.decode(token, keys[header["kid"]], ["ES256"], audience=stand.backend.url, issuer=stand.house.url)
    assert {name: claims[name] for name in ("sub", "client_id", "scope", "via")} == {
        "sub": "usr_ada",
        "client_id": "quill",
        "scope": "read write",
        "via": "authorization_code",
    }
    assert claims["exp"] - claims["iat"] == 60
    # The backend cannot come back with it.
    answered = httpx2.post(f"{stand.house.url}/mcp", json={}, headers={"Authorization": f"Bearer {token}"})
    assert answered.status_code == 401


def test_a_token_is_one_callers_and_made_anew_in_time(stand: Stand) -> None:
    front = stand.sending(IdentityToken("https://other.example", lifetime=60))
    seen = []
    for who, app in (("ada", "quill"), ("ada", "quill"), ("bob", "quill"), ("ada", "pen")):
        front.call(who=who, X_App=app)
        token = stand.seen("authorization").split(" ")[1]
        claims = jwt.decode(token, options={"verify_signature": False}, audience="https://other.example")
        assert (claims["sub"], claims["client_id"]) == (f"usr_{who}", app)
        seen.append(token)
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3
    stand.house.turn_clock(seconds=31)
    front.call()
    assert stand.seen("authorization").split(" ")[1] not in seen
    stand.house.turn_clock(seconds=3555)
    front.call()  # the caller's own token has a few seconds left, and so has this one
    claims = jwt.decode(stand.seen("authorization").split(" ")[1], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] < 30


def test_a_header_signed_with_a_shared_secret(stand: Stand) -> None:
    front = stand.sending(IdentityHeader(SecretStr(SHARED)))
    front.call(X_Gatehouse_Identity="forged")
    given = [value for name, value in stand.backend.received[0].headers if name == "x-gatehouse-identity"]
    assert len(given) == 1
    claims = jwt.decode(given[0], SHARED, ["HS256"], audience=stand.backend.url, issuer=stand.house.url)
    assert claims["sub"] == "usr_ada"
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(given[0], SHARED.replace("a", "b"), ["HS256"], audience=stand.backend.url)


def test_an_account_at_a_service_that_is_not_there(stand: Stand) -> None:
    """An account elsewhere is in tests/upstream; nobody can connect one of a service that the operator has not named."""
    refused = stand.sending(Upstream("github")).call()
    assert (refused.status_code, refused.json()["error"]["data"]["error"]) == (502, "upstream_not_offered")
    assert stand.backend.received == []


@pytest.mark.parametrize(
    "send",
    [
        Secret(SecretStr("a\r\nX-Admin: 1")),
        Secret(SecretStr("")),
        Secret(SecretStr("x"), "X:Y"),
        IdentityHeader(SecretStr("short")),
    ],
)
def test_what_can_never_work_is_said_at_the_start(stand: Stand, send: Any) -> None:
    with pytest.raises(ValueError, match=r"header|signs"):
        credentials.of(UrlBackend("http://localhost", send), stand.house.world)


def test_the_guide_for_backends_works(stand: Stand) -> None:
    """The Python of docs/remote-servers.md, with the addresses of this test."""
    text = (ROOT / "docs" / "remote-servers.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    source = source.replace("http://localhost:8000", stand.house.url)
    guide: dict[str, Any] = {}
    exec(source, guide)
    stand.sending(IdentityToken("http://tickets.internal:8080/mcp")).call()
    token = stand.seen("authorization").split(" ")[1]
    assert guide["caller"](token) == "usr_ada"
    stand.sending(IdentityToken("http://other.internal/mcp")).call()
    with pytest.raises(jwt.InvalidAudienceError):
        guide["caller"](stand.seen("authorization").split(" ")[1])

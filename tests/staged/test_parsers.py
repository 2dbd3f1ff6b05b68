"""Hypothesis feeds everything that reads what others wrote: a value, or the refusal that the parser names, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from app.api_keys import keys as api_keys
from app.bodies import Bodies
from app.gate.headers import sorted_headers, uncoded
from app.gate.rules import RuleBook, Unreadable
from app.language.catalogs import chosen
from app.outside.fetch import Unfetchable, _max_age
from app.outside.issuers import addresses, jwks_uri_of
from app.outside.key_sets import keys_of
from app.protocol import client_document, client_metadata, email, pkce, redirect_uri, resource, scope, user_code
from app.protocol.challenge import challenge
from app.protocol.errors import InvalidToken, OAuthError
from app.protocol.params import parse
from app.protocol.pending import unpacked
from app.resources.model import Rules
from app.resources.read import ResourcesError, Source, parsed
from app.resources.served import Resources, built_in
from app.settings.smtp_url import checked_sender, smtp_server
from app.tokens import assertions, dpop, refresh
from app.tokens.assertions import BadAssertion
from app.tokens.keyring import KeyRing
from app.tokens.secrets import Secrets, Unsealable, b64, unb64
from app.tokens.verify import verify
from app.users.totp import codes, recovery
from app.web.http import bearer, client_address, is_from, media_type, token_of
from app.web.paging import read as read_place
from tests.actors import http
from tests.conftest import SECRET_KEY, House
from tests.unit.test_protocol import PENDING

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
NOW = datetime(2026, 11, 21, tzinfo=UTC)
ISSUER = "https://mcp.example"
SECRETS = Secrets.of((SECRET_KEY,))
OURS = Resources.of(ISSUER, [built_in(ISSUER)])
fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# Text as it comes: anything; what looks like an address, a token, a list; and each of these with something spoilt.
PIECES = [
    *(
        "http",
        "https",
        "://",
        "[::1]",
        "127.0.0.1",
        "[",
        "]",
        "@",
        ":",
        ":99999",
        "/",
        "//",
        "..",
        "?",
        "#",
        "%",
        "%2f",
        "%00",
    ),
    *(
        "localhost",
        "xn--",
        "é",
        "\u2028",
        "\0",
        "\ud800",
        " ",
        "\t",
        "\n",
        ".",
        "..",
        ",",
        ";q=",
        ";",
        "=",
        "&",
        "+",
        "*",
        "-",
    ),
    *(
        "javascript:",
        "cursor://",
        "gh_rt_",
        "gh_key_",
        "ey",
        "eyJhbGciOiJFUzI1NiJ9",
        "read",
        "write",
        "offline_access",
        "1e999",
    ),
    *(
        "max-age=",
        "9" * 30,
        "a" * 300,
        "<",
        ">",
        '"',
        "\\",
        "Bearer ",
        "DPoP ",
        "smtp://",
        "smtps://",
        "?tls=none",
        "٣",
        "🏴",
    ),
]
TEXT = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
BYTES = st.one_of(st.binary(max_size=80), TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


def documents(*names: str) -> st.SearchStrategy[Any]:
    """Objects that have these members, with anything in them."""
    return st.one_of(
        JSON, st.dictionaries(st.sampled_from(names), st.one_of(JSON, st.lists(TEXT, max_size=3)), max_size=8)
    )


METADATA = documents(
    *(
        "redirect_uris",
        "client_name",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
        "scope",
        "jwks",
        "jwks_uri",
    ),
    *("client_id", "client_uri", "logo_uri", "contacts", "application_type", "require_pushed_authorization_requests"),
)


def segments(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """What looks like a JWT: these documents, signed by nobody."""

    def joined(values: tuple[Any, ...]) -> str:
        return ".".join(b64(json.dumps(value).encode()) for value in values)

    return st.one_of(TEXT, st.tuples(*parts).map(joined))


JWK = st.fixed_dictionaries(
    {"kty": st.sampled_from(["EC", "RSA", "OKP", "oct"])},
    optional={
        name: st.one_of(JSON, st.sampled_from(["P-256", "Ed25519", "AQAB", "A" * 43]))
        for name in ("crv", "x", "y", "n", "e")
    },
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.one_of(JSON, st.sampled_from(["ES256", "RS256", "none", "HS256"])),
        "typ": st.one_of(JSON, st.sampled_from(["dpop+jwt", "at+jwt", "JWT"])),
        "kid": JSON,
        "jwk": st.one_of(JSON, JWK),
        "crit": JSON,
    },
)
CLAIMS = documents("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "htm", "htu", "ath", "nonce", "scope", "client_id")
JWTS = segments(HEADERS, CLAIMS, st.binary(max_size=8).map(str))
PLACES = Source(Path("gatehouse.toml"), {})
TOML = st.one_of(
    TEXT,
    st.lists(
        st.sampled_from(
            [
                *(
                    "[resources.notes]",
                    '[resources."a/b"]',
                    "[resources.notes.tools]",
                    "[resources.notes.scopes]",
                    "[[resources]]",
                ),
                *('path = "/notes"', "path = 3", 'path = "/token"', 'title = "é"', 'backend = "https://x.example/mcp"'),
                *('backend = { command = ["a", 3] }', 'command = ["cat"]', 'url = "http://["', "scopes = { see = 1 }"),
                *(
                    'scopes = ["see"]',
                    '"do_*" = "see"',
                    '"*" = { needs = ["no"], price = -1, rate = "1/x" }',
                    "x = [[[",
                    "a.b.c = 1",
                ),
                *(
                    'rate = "5 / minute"',
                    "price = 99999999999999999999",
                    'default = "x"',
                    "default = [1]",
                    "[servers]",
                    "= 1",
                ),
            ]
        ),
        max_size=8,
    ).map("\n".join),
)
Parser = Callable[[Any], object]
NONE: tuple[type[BaseException], ...] = ()

# One line for each parser: what it is fed, and what it may raise.
PARSERS: dict[str, tuple[Parser, st.SearchStrategy[Any], tuple[type[BaseException], ...]]] = {
    "params": (parse, BYTES, (OAuthError,)),
    "redirect_uri": (redirect_uri.fault, TEXT, NONE),
    "redirect_uri, matched": (lambda two: redirect_uri.matches(*two), st.tuples(TEXT, TEXT), NONE),
    "redirect_uri, shown": (
        lambda uri: (redirect_uri.is_local(uri), redirect_uri.shown_host(uri), redirect_uri.without_query(uri)),
        TEXT.filter(lambda uri: redirect_uri.fault(uri) is None),
        NONE,
    ),
    "resource": (resource.canonical, TEXT, NONE),
    "resources": (lambda texts: OURS.resolve(texts), st.lists(TEXT, max_size=4), (OAuthError,)),
    "client_id that is a URL": (lambda url: (client_document.is_url(url), client_document.fault(url)), TEXT, NONE),
    "client document": (lambda two: client_document.checked_document(*two), st.tuples(METADATA, TEXT), (OAuthError,)),
    "client metadata": (client_metadata.checked, METADATA, (OAuthError,)),
    "email": (email.normal_email, TEXT, NONE),
    "pkce": (lambda text: (pkce.is_challenge(text), pkce.challenge_of(text)), TEXT, NONE),
    "scope": (lambda text: (scope.words_of(text), scope.granted(text), scope.granted(text, text)), TEXT, NONE),
    "user_code": (user_code.normal, TEXT, NONE),
    "a refusal": (lambda text: challenge(InvalidToken(text), ISSUER, "read").encode("latin-1"), TEXT, NONE),
    "pending": (lambda raw: SECRETS.pending.open(raw, b""), BYTES, (Unsealable,)),
    "base64url": (unb64, TEXT, (ValueError,)),
    "refresh token": (lambda text: refresh.read(text, SECRETS.refresh), TEXT, NONE),
    "refresh token, nearly": (lambda text: refresh.read("gh_rt_" + text, SECRETS.refresh), TEXT, NONE),
    "access token": (lambda text: verify(text, KeyRing(()), ISSUER, {}, NOW), JWTS, (InvalidToken,)),
    "DPoP proof": (lambda text: dpop.checked(text, "POST", frozenset({ISSUER}), NOW), JWTS, (BadAssertion,)),
    "DPoP address": (dpop.normal, JSON, NONE),
    "assertion": (assertions.unverified, JWTS, (BadAssertion,)),
    "key set": (keys_of, documents("keys"), (Unfetchable,)),
    "issuer": (addresses, TEXT.map("https://".__add__), (ValueError,)),
    "issuer's document": (
        lambda document: jwks_uri_of(document, ISSUER),
        documents("issuer", "jwks_uri"),
        (Unfetchable,),
    ),
    "Cache-Control": (_max_age, TEXT, NONE),
    "Accept-Language": (chosen, TEXT, NONE),
    "page": (read_place, TEXT, (OAuthError,)),
    "TOTP code": (lambda text: codes.matching_step("JBSWY3DPEHPK3PXP", text, NOW), TEXT, NONE),
    "recovery code": (recovery.normal, TEXT, NONE),
    "duration": (api_keys.duration, TEXT, (OAuthError, ValueError)),
    "key name": (api_keys.checked_name, TEXT, (OAuthError,)),
    "mail server": (smtp_server, TEXT, (ValueError,)),
    "mail sender": (checked_sender, TEXT, (ValueError,)),
    "gatehouse.toml": (lambda text: parsed(text, PLACES, ISSUER), TOML, (ResourcesError,)),
    "a call": (
        RuleBook(Rules(), {}).ruled,
        st.one_of(BYTES, JSON.map(lambda v: json.dumps(v).encode())),
        (Unreadable,),
    ),
    "a tool": (lambda name: RuleBook(Rules(), {}).shows(name, frozenset()), JSON, NONE),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_returns_or_refuses(name: str) -> None:
    read, fed, refusals = PARSERS[name]

    @fuzzed
    @given(fed)
    def holds(what: Any) -> None:
        with suppress(*refusals):
            read(what)

    holds()


@fuzzed
@given(BYTES, st.sampled_from(["get", "verbatim", "all", "required"]), TEXT)
def test_parameters_are_read_or_refused(body: bytes, how: str, name: str) -> None:
    try:
        params = parse(body)
        getattr(params, how)(name)
        parse(params.encoded().encode())
        params.refuse_repeats()
    except OAuthError:
        pass


@fuzzed
@given(st.text(max_size=30), st.text(max_size=30), st.lists(st.text(max_size=5), max_size=3))
def test_what_was_packed_is_unpacked_alike(state: str, hint: str, prompt: list[str]) -> None:
    pending = replace(PENDING, state=state, login_hint=hint, prompt=tuple(prompt))
    try:
        packed = pending.packed()
    except UnicodeEncodeError:
        return
    assert unpacked(packed) == pending


RAW_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"host", b"origin", b"authorization", b"dpop", b"content-type", b"x-forwarded-for", b"cookie", b"te", b"x"]
        ),
        BYTES,
    ),
    max_size=8,
)


@fuzzed
@given(RAW_HEADERS, BYTES)
def test_headers_are_read_or_refused(headers: list[tuple[bytes, bytes]], host: bytes) -> None:
    scope: dict[str, Any] = {"type": "http", "headers": headers, "client": (host.decode("latin-1"), 1), "method": "GET"}
    request, trusted = Request(scope), (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    client_address(request, trusted)
    is_from(request, trusted)
    media_type(request)
    found = sorted_headers(scope)
    found.passed_on(3)
    uncoded(headers)
    for scheme in (b"bearer ", b"dpop "):
        try:
            token_of(found.wanted[b"authorization"], scheme)
            bearer(found.wanted[b"authorization"])
        except OAuthError:
            pass


@fuzzed
@given(BYTES.map(lambda raw: raw[:20]), st.lists(BYTES, max_size=5), st.integers(0, 100), st.booleans())
def test_bodies_are_read_or_refused(declared: bytes, chunks: list[bytes], limit: int, cut: bool) -> None:
    """However it comes in pieces, and whatever it said before."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return messages.pop(0)

    try:
        body = asyncio.run(Bodies().read(receive, declared, limit))
    except OAuthError:
        return
    assert body == b"".join(chunks)
    assert len(body) <= limit


def test_every_json_address_takes_any_document(house: House) -> None:
    """Through the public door, whatever the parsers make of it."""
    client, url = http(), house.url

    @settings(fuzzed, max_examples=max(40, EXAMPLES // 2))
    @given(
        st.sampled_from(["/register", "/auth/token", "/mcp", "/token", "/par", "/introspect", "/revoke"]),
        METADATA,
        BYTES,
    )
    def ask(path: str, document: Any, raw: bytes) -> None:
        sent = (json.dumps(document).encode(), "application/json"), (raw, "application/x-www-form-urlencoded")
        for body, kind in sent:
            answer = client.post(url + path, content=body, headers={"Content-Type": kind})
            assert answer.status_code < 500, answer.text

    ask()

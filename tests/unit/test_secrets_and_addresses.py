"""Secrets, sealed things, refresh tokens, settings, and whose address counts."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.settings.read import SettingsError, load
from app.tokens.refresh import RefreshToken, read, written
from app.tokens.secrets import API_KEY, MasterKeys, Secrets, Unsealable, fingerprint, new_secret
from app.web.http import client_address

OLD, NEW = "o" * 32, "n" * 32


def test_a_secret_is_long_and_plain() -> None:
    secret = new_secret(API_KEY)
    assert re.fullmatch(r"gh_key_[A-Za-z0-9_-]{43}", secret)
    assert secret != new_secret(API_KEY)
    assert len(fingerprint(secret)) == 32


def test_what_is_sealed_opens_for_its_purpose_and_context_only() -> None:
    keys = MasterKeys.of((NEW,))
    sealed = keys.for_purpose("a").seal(b"plain", b"row 1")
    assert keys.for_purpose("a").open(sealed, b"row 1") == b"plain"
    for purpose, context in (("a", b"row 2"), ("b", b"row 1")):
        with pytest.raises(Unsealable):
            keys.for_purpose(purpose).open(sealed, context)
    for broken in (sealed[:-1], sealed[:5], b"", sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]):
        with pytest.raises(Unsealable):
            keys.for_purpose("a").open(broken, b"row 1")


def test_the_master_key_can_be_changed() -> None:
    """The new one first: it seals, both open; refresh tokens of before are still ours."""
    before, after = Secrets.of((OLD,)), Secrets.of((NEW, OLD))
    token = RefreshToken("con_1", 7)
    assert read(written(token, before.refresh), after.refresh) == token
    assert after.pending.open(before.pending.seal(b"x")) == b"x"
    assert read(written(token, after.refresh), before.refresh) is None


@given(st.text(max_size=250))
def test_nothing_but_our_own_text_is_a_refresh_token(text: str) -> None:
    purpose = Secrets.of((NEW,)).refresh
    assert read(text, purpose) is None
    assert read("gh_rt_" + text, purpose) is None


def test_no_secret_shows_when_printed() -> None:
    settings = load(public_url="http://localhost:1", database_url="postgresql://u:hunter2@h/d", secret_key=NEW)
    assert "hunter2" not in repr(settings)
    assert NEW not in repr(settings) + repr(Secrets.of((NEW,)))


@pytest.mark.parametrize(
    "url",
    [
        "http://mcp.example",
        "https://mcp.example/",
        "https://mcp.example/x",
        "https://MCP.example",
        "ftp://x",
        "x",
        "https://u@x",
    ],
)
def test_the_issuer_is_an_origin(url: str) -> None:
    with pytest.raises(SettingsError, match="GATEHOUSE_PUBLIC_URL"):
        load(public_url=url, database_url="postgresql://h/d", secret_key=NEW)


def test_browser_pages_of_elsewhere_are_strangers() -> None:
    local = load(public_url="http://localhost:8000", database_url="postgresql://h/d", secret_key=NEW)
    assert local.accepts_origin("http://localhost:6274")
    assert not local.accepts_origin("http://localhost.evil.example")
    assert not local.accepts_origin("null")
    assert local.accepted_hosts() == {"localhost:8000", "127.0.0.1:8000", "[::1]:8000"}
    public = load(
        public_url="https://mcp.example",
        database_url="postgresql://h/d",
        secret_key=NEW,
        allowed_origins="https://chat.example",
    )
    assert public.accepts_origin("https://chat.example")
    assert not public.accepts_origin("http://localhost:6274")
    assert public.accepted_hosts() == {"mcp.example"}


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address"),
    [
        ("203.0.113.9", "1.2.3.4", "", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4", "10.0.0.0/8", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "10.0.0.0/8", "1.2.3.4"),
        ("10.0.0.1", "nonsense", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.0/8", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "", "", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "", "", "203.0.113.9"),
    ],
)
def test_whose_address_counts(peer: str, forwarded: str, trusted: str, address: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    request = Request({"type": "http", "client": (peer, 1), "headers": headers})
    assert client_address(request, (ip_network(trusted),) if trusted else ()) == address

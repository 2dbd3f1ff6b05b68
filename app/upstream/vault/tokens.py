"""What is sealed of an account: access token and refresh token, for their user, provider and row alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.protocol.provider import Provider
from app.tokens.secrets import Purpose, new_id
from app.upstream.answers import scope_of, seconds_of
from app.upstream.vault.store import Account


@dataclass(frozen=True, slots=True, repr=False)
class Tokens:
    access_token: str
    refresh_token: str | None

    def told(self) -> dict[str, Any]:
        return {"access_token": self.access_token, "refresh_token": self.refresh_token}


def context(user_id: str, provider: str, row: str) -> bytes:
    """The associated data: what was put in for one user, provider and row opens for no other."""
    return "\0".join((user_id, provider, row)).encode()


def sealed(tokens: Tokens, account: Account, purpose: Purpose) -> bytes:
    packed = json.dumps([tokens.access_token, tokens.refresh_token]).encode()
    return purpose.seal(packed, context(account.user_id, account.provider, account.id))


def opened(account: Account, purpose: Purpose, raw: bytes | None = None) -> Tokens:
    """Raises Unsealable."""
    packed = purpose.open(raw or account.sealed, context(account.user_id, account.provider, account.id))
    return Tokens(*json.loads(packed))


def of(answer: dict[str, Any], before: Tokens | None = None) -> Tokens:
    """With the refresh token that there was, where there is no new one (RFC 6749 §6)."""
    return Tokens(answer["access_token"], answer.get("refresh_token") or (before.refresh_token if before else None))


def expiry(answer: dict[str, Any], now: datetime) -> datetime | None:
    seconds = seconds_of(answer)
    return None if seconds is None else now + timedelta(seconds=seconds)


def account_of(
    provider: Provider, user_id: str, answer: dict[str, Any], asked: tuple[str, ...], now: datetime, purpose: Purpose
) -> Account:
    """A new row, sealed."""
    tokens = of(answer)
    bare = Account(
        id=new_id("upa"),
        user_id=user_id,
        provider=provider.name,
        client_id=provider.client_id,
        subject=None,
        shown=None,
        scope=scope_of(answer, asked),
        sealed=b"",
        generation=0,
        refreshable=tokens.refresh_token is not None,
        created_at=now,
        refreshed_at=now,
        expires_at=expiry(answer, now),
    )
    fields = {name: getattr(bare, name) for name in Account.__slots__}
    return Account(**{**fields, "sealed": sealed(tokens, bare, purpose)})

"""Identity providers whose word the operator takes: where their keys are (RFC 7523 §3 item 9, RFC 8414 §3, OIDC Discovery §4)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from app.outside.fetch import SECONDS, Outside, Unfetchable
from app.outside.key_sets import STALE, KeySets

LIMIT = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Provider:
    """Where an issuer publishes its keys, and until when that need not be looked up again."""

    jwks_uri: str
    fresh_until: datetime


class Issuers:
    """One per process. The operator named them, so they may be on addresses that are not public."""

    def __init__(self, outside: Outside, key_sets: KeySets) -> None:
        self._outside = outside
        self._key_sets = key_sets
        self._providers: dict[str, Provider] = {}

    async def keys(self, issuer: str, kid: object, now: datetime) -> tuple[dict[str, Any], ...]:
        """The keys of an issuer that is trusted. Raises Unfetchable after SECONDS at the latest."""
        try:
            async with asyncio.timeout(SECONDS):
                provider = await self._provider(issuer, now)
                return await self._key_sets.keys(provider.jwks_uri, kid, now, private=True)
        except TimeoutError:
            raise Unfetchable("it took longer than {seconds} seconds", seconds=f"{SECONDS:g}") from None

    async def _provider(self, issuer: str, now: datetime) -> Provider:
        kept = self._providers.get(issuer)
        if kept is not None and now < kept.fresh_until:
            return kept
        try:
            found = await self._looked_up(issuer, now)
        except Unfetchable:
            if kept is not None and now < kept.fresh_until + STALE:
                return kept
            raise
        self._providers[issuer] = found
        return found

    async def _looked_up(self, issuer: str, now: datetime) -> Provider:
        """As OpenID providers publish it, else as other authorization servers do."""
        first, second = addresses(issuer)
        try:
            document = await self._outside.json(first, limit=LIMIT, private=True)
        except Unfetchable:
            document = await self._outside.json(second, limit=LIMIT, private=True)
        return Provider(jwks_uri_of(document.value, issuer), now + document.kept_for)


def addresses(issuer: str) -> tuple[str, str]:
    """Behind the issuer's path, as OIDC Discovery §4 has it, and before it, as RFC 8414 §3.1 has it."""
    base, parts = issuer.rstrip("/"), urlsplit(issuer)
    inserted = parts._replace(path="/.well-known/oauth-authorization-server" + parts.path.rstrip("/"))
    return f"{base}/.well-known/openid-configuration", inserted.geturl()


def jwks_uri_of(document: object, issuer: str) -> str:
    """Raises Unfetchable for the metadata of somebody else (RFC 8414 §3.3: byte for byte) and for what names no keys."""
    metadata = document if isinstance(document, dict) else {}
    if metadata.get("issuer") != issuer:
        raise Unfetchable("its metadata names another issuer")
    uri = metadata.get("jwks_uri")
    if not isinstance(uri, str) or not uri.startswith("https://") or len(uri) > 2000:
        raise Unfetchable("its metadata has no jwks_uri with https")
    return uri

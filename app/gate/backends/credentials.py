"""What a backend is sent instead of the caller's token: nothing, a fixed secret, who calls (signed), or a token of theirs
(MCP authorization "Access Token Privilege Restriction": a token is never passed on)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Protocol

from app.gate.backends.faults import NotOffered, RefusedUs, UpstreamAway
from app.protocol.types import Principal
from app.resources.model import IdentityHeader, IdentityToken, Secret, Upstream, UrlBackend
from app.tokens.issue import identity_token
from app.tokens.keyring import ALGORITHM, PrivateKey
from app.upstream import faults as upstream
from app.upstream.vault import fetch
from app.world import World

HMAC = "HS256"
SHORTEST_SECRET = 32  # bytes (RFC 7518 §3.2)
IDENTITY_SECONDS = 60
REMEMBERED = 10_000  # callers
NO_LINE = b""
RETRY_AFTER = 5  # seconds
# RFC 6750 §3: what a server says that wants another scope.
SCOPE_WANTED = re.compile(rb'error="?insufficient_scope"?(?=[\s,]|\Z)', re.IGNORECASE)
SCOPES = re.compile(rb'(?:\A|[\s,])scope="([\x20\x21\x23-\x5b\x5d-\x7e]{1,600})"', re.IGNORECASE)


class Credentials(Protocol):
    async def line(self, principal: Principal, now: datetime) -> bytes:
        """The header as it goes over the wire, with its end; or nothing. Raises NotConnected, NotOffered and UpstreamAway."""


class Nothing:
    async def line(self, principal: Principal, now: datetime) -> bytes:
        return NO_LINE


class Fixed:
    def __init__(self, send: Secret) -> None:
        self._line = header(send.header, send.value.get_secret_value())

    async def line(self, principal: Principal, now: datetime) -> bytes:
        return self._line


class Identity:
    """A JWT that says who calls, kept for half of its time: signing costs as much as all else that the proxy does."""

    def __init__(self, send: IdentityHeader | IdentityToken, backend: UrlBackend, world: World) -> None:
        """Raises ValueError for a secret that is too short."""
        self._world = world
        self._name = send.header
        self._scheme = "Bearer " if send.header.lower() == "authorization" else ""
        self._key: bytes | None = None
        if isinstance(send, IdentityHeader):
            self._key = send.secret.get_secret_value().encode()
            self._audience, self._lifetime = backend.url, IDENTITY_SECONDS
            if len(self._key) < SHORTEST_SECRET:
                raise ValueError(f"the secret of an identity header needs at least {SHORTEST_SECRET} characters")
        else:
            self._audience, self._lifetime = send.audience or backend.url, send.lifetime
        self._kept: dict[str, tuple[float, bytes]] = {}

    async def line(self, principal: Principal, now: datetime) -> bytes:
        moment = now.timestamp()
        kept = self._kept.get(principal.token_id)
        if kept is not None and moment < kept[0]:
            return kept[1]
        self._kept.pop(principal.token_id, None)
        while len(self._kept) >= REMEMBERED:
            del self._kept[next(iter(self._kept))]
        line = header(self._name, self._scheme + self._signed(principal, now))
        self._kept[principal.token_id] = (moment + self._lifetime / 2, line)
        return line

    def _signed(self, principal: Principal, now: datetime) -> str:
        key: PrivateKey | bytes
        if self._key is not None:
            key, algorithm, kid = self._key, HMAC, None
        else:
            ours = self._world.live.ring.signer(now)
            key, algorithm, kid = ours.private, ALGORITHM, ours.kid
        issuer, lifetime = self._world.settings.issuer, self._lifetime
        return identity_token(principal, self._audience, issuer, key, algorithm, kid, now=now, lifetime=lifetime)


class Theirs:
    """The caller's own token at a service; asked for anew when the backend says that it has ended there."""

    def __init__(self, send: Upstream, world: World) -> None:
        self._send = send
        self._world = world
        self._scheme = "Bearer " if send.header.lower() == "authorization" else ""

    async def line(self, principal: Principal, now: datetime) -> bytes:
        return self._line(await self._fresh(principal))

    async def instead(self, refused: bytes, status: int, challenge: bytes, principal: Principal) -> bytes:
        held = await self._fresh(principal)
        if status == 403:
            raise self._wanted(challenge, held)
        line = self._line(held)
        if line != refused:  # somebody has refreshed it meanwhile
            return line
        return self._line(await self._fresh(principal, unlike=held.account.generation))

    async def _fresh(self, principal: Principal, unlike: int | None = None) -> fetch.Fresh:
        name, scope = self._send.provider, self._send.scope
        try:
            return await fetch.fresh(self._world, principal.subject, name, scope, unlike=unlike)
        except fetch.NotOffered as fault:
            raise NotOffered(str(fault)) from fault
        except upstream.Away as fault:
            raise UpstreamAway(fault.why, retry_after=RETRY_AFTER) from fault

    def _wanted(self, challenge: bytes, held: fetch.Fresh) -> Exception:
        """The scopes that the backend misses, for the caller to allow; unless it names none that are missing."""
        named = SCOPES.search(challenge)
        wanted = tuple(named[1].decode().split()) if named and SCOPE_WANTED.search(challenge) else ()
        missing = tuple(word for word in dict.fromkeys(wanted) if word not in held.account.scope)
        if not missing:
            return RefusedUs("status 403")
        url = fetch.where(self._world, held.provider.name, (*self._send.scope, *missing))
        return fetch.NotConnected(held.provider.title, fetch.SCOPE, url)

    def _line(self, held: fetch.Fresh) -> bytes:
        return header(self._send.header, self._scheme + held.access_token)


def of(backend: UrlBackend, world: World) -> Credentials:
    """Raises ValueError for what can never work."""
    send = backend.send
    if send is None:
        return Nothing()
    if isinstance(send, Secret):
        return Fixed(send)
    if isinstance(send, Upstream):
        return Theirs(send, world)
    return Identity(send, backend, world)


def header(name: str, value: str) -> bytes:
    """Raises ValueError for signs that could begin another header (RFC 9110 §5.5)."""
    if not name or not value or any(not "!" <= sign <= "~" or sign == ":" for sign in name):
        raise ValueError("not the name of a header, or nothing to send in it")
    if any(not " " <= sign <= "~" for sign in value):
        raise ValueError(f"the value of {name} has signs that no header may have")
    return f"{name.lower()}: {value}\r\n".encode()

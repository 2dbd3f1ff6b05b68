"""What a backend is sent instead of the caller's token: nothing, a fixed secret, who calls (signed), or a token of theirs
(MCP authorization "Access Token Privilege Restriction": a token is never passed on)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from app.gate.backends.faults import NotConnected
from app.protocol.types import Principal
from app.resources.model import IdentityHeader, IdentityToken, Secret, Upstream, UrlBackend
from app.tokens.issue import identity_token
from app.tokens.keyring import ALGORITHM, PrivateKey
from app.world import World

HMAC = "HS256"
SHORTEST_SECRET = 32  # bytes (RFC 7518 §3.2)
IDENTITY_SECONDS = 60
REMEMBERED = 10_000  # callers
NO_LINE = b""

# The caller's own token of a provider. Raises NotConnected ("Upstream accounts").
UpstreamToken = Callable[[Principal, str], Awaitable[str]]


class Credentials(Protocol):
    async def line(self, principal: Principal, now: datetime) -> bytes:
        """The header as it goes over the wire, with its end; or nothing. Raises NotConnected."""


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
    def __init__(self, send: Upstream, token: UpstreamToken) -> None:
        self._send = send
        self._token = token
        self._scheme = "Bearer " if send.header.lower() == "authorization" else ""

    async def line(self, principal: Principal, now: datetime) -> bytes:
        return header(self._send.header, self._scheme + await self._token(principal, self._send.provider))


def of(backend: UrlBackend, world: World, upstream: UpstreamToken | None = None) -> Credentials:
    """Raises ValueError for what can never work."""
    send = backend.send
    if send is None:
        return Nothing()
    if isinstance(send, Secret):
        return Fixed(send)
    if isinstance(send, Upstream):
        return Theirs(send, upstream or _nobody_connects)
    return Identity(send, backend, world)


def header(name: str, value: str) -> bytes:
    """Raises ValueError for signs that could begin another header (RFC 9110 §5.5)."""
    if not name or not value or any(not "!" <= sign <= "~" or sign == ":" for sign in name):
        raise ValueError("not the name of a header, or nothing to send in it")
    if any(not " " <= sign <= "~" for sign in value):
        raise ValueError(f"the value of {name} has signs that no header may have")
    return f"{name.lower()}: {value}\r\n".encode()


async def _nobody_connects(principal: Principal, provider: str) -> str:
    raise NotConnected(f"no accounts of {provider} can be connected yet")

"""Which client is asking (RFC 6749 §2.3.1 Basic and form, RFC 7523 §2.2 private_key_jwt, OAuth 2.1 §2.4 none)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import unquote_plus

from starlette.requests import Request

from app import asking, audit
from app.clients import find
from app.clients.assertion import JWT_BEARER, claimed_client_id, prove
from app.protocol.errors import InvalidClient, InvalidClientDocument, InvalidRequest, OAuthError, TemporarilyUnavailable
from app.protocol.params import Params
from app.protocol.types import Client
from app.remembered import Outdated
from app.tokens.secrets import fingerprint
from app.traces.recording import note
from app.web.http import client_address
from app.world import World

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says about its client; a public one brings neither `secret` nor `assertion`."""

    client_id: str
    secret: str | None = None
    assertion: str | None = None
    basic: bool = False

    @property
    def method(self) -> str:
        """As RFC 7591 §2 calls the way it came."""
        if self.assertion:
            return "private_key_jwt"
        return "client_secret_basic" if self.basic else "client_secret_post" if self.secret else "none"


async def authenticated_client(request: Request, params: Params, world: World, *, remembered: bool = False) -> Client:
    """The client, proven as far as it can be. Raises InvalidClient (401) for an unknown one too: clients register anew on that,
    so TemporarilyUnavailable while its document or its keys cannot be had.

    `remembered`: as it was known a while ago will do, if what is done for it confirms that (app/remembered.py).
    """
    credentials, now = presented(request, params), world.now()
    note(client_id=credentials.client_id, client_auth=credentials.method)
    known = world.clients.get(credentials.client_id) if remembered else None
    if known is not None and credentials.assertion is None and _proven(known, credentials):
        note(client_name=known.client_name)
        asking.acting(asking.CLIENT, known.client_id)
        return known
    address = client_address(request, world.settings.trusted_proxies)
    try:
        # Of a client that signs, the document may hold the keys, so it has to be a fresh one.
        signs = credentials.assertion is not None
        client = await find.client(world, credentials.client_id, address, now, fresh=signs)
    except InvalidClientDocument as fault:
        if fault.retry_after is not None:
            raise TemporarilyUnavailable(fault.description, retry_after=fault.retry_after) from fault
        raise InvalidClient(fault.description, tried_basic=credentials.basic) from fault
    note(client_name=client.client_name if client else None)
    if client is None:
        raise InvalidClient("this client is not registered here", tried_basic=credentials.basic)
    try:
        await _prove(client, credentials, world.settings.issuer + request.scope["path"], world, now)
    except InvalidClient:
        if world.traces.is_news(f"client refused {client.client_id} {address}", now):
            await audit.add(world.pool, "client.refused", now, client_id=client.client_id, method=credentials.method)
        raise
    asking.acting(asking.CLIENT, client.client_id)
    world.clients.keep(client)
    return client


async def confirmed(request: Request, params: Params, world: World, act: Callable[[Client], Awaitable[Done]]) -> Done:
    """What `act` makes of the client as it is remembered, which its statement has to confirm; failing that, of the client as
    it is now. Raises what `act` and `authenticated_client` raise."""
    client = await authenticated_client(request, params, world, remembered=True)
    try:
        return await act(client)
    except (Outdated, OAuthError):
        if not client.is_remembered:
            raise
    world.clients.forget(client.client_id)
    return await act(await authenticated_client(request, params, world))


async def _prove(client: Client, credentials: Credentials, audience: str, world: World, now: datetime) -> None:
    """Raises InvalidClient, TemporarilyUnavailable."""
    if client.token_endpoint_auth_method == "private_key_jwt":
        if credentials.assertion is None or credentials.secret is not None:
            raise InvalidClient("this client authenticates with a client_assertion", tried_basic=credentials.basic)
        await prove(client, credentials.assertion, audience, world, now)
    elif credentials.assertion is not None or not _proven(client, credentials):
        raise InvalidClient(_wrong(client, credentials), tried_basic=credentials.basic)


def _wrong(client: Client, credentials: Credentials) -> str:
    """What registrations say of themselves may be told; of a wrong secret nothing more than that."""
    if client.is_public and credentials.secret is not None:
        return "this client is public; send no client_secret"
    if client.secret_fingerprint is not None and credentials.secret is None:
        return "this client has a secret, and none was sent"
    return "client authentication failed"


def names_a_client(request: Request, params: Params) -> bool:
    """Whether a request says at all which client it comes from, rightly or wrongly."""
    said = any(params.get(name) is not None for name in ("client_id", "client_secret", "client_assertion"))
    return said or "authorization" in request.headers


def presented(request: Request, params: Params) -> Credentials:
    """The credentials of the header, of the form, or of an assertion, never of two (RFC 6749 §2.3)."""
    client_id, secret, assertion = params.get("client_id"), params.get("client_secret"), _assertion(params)
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise InvalidRequest("the Authorization header is included more than once")
    if headers and headers[0][:6].lower() == "basic ":
        basic = _basic(headers[0][6:])
        if secret is not None or assertion is not None:
            raise InvalidRequest("the client authenticates in two ways at once")
        if client_id not in (None, basic.client_id):
            raise InvalidRequest("client_id differs from the one in the Authorization header")
        return basic
    if assertion is not None:
        claimed = claimed_client_id(assertion)
        if secret is not None:
            raise InvalidRequest("the client authenticates in two ways at once")
        if client_id not in (None, claimed):
            raise InvalidRequest("client_id differs from the one in the client_assertion")
        return Credentials(claimed, assertion=assertion)
    if client_id is None:
        raise InvalidClient("the request does not say which client it comes from")
    return Credentials(client_id, secret)


def _assertion(params: Params) -> str | None:
    """RFC 7521 §4.2."""
    assertion, kind = params.get("client_assertion"), params.get("client_assertion_type")
    if assertion is not None and kind != JWT_BEARER:
        raise InvalidRequest(f"client_assertion_type must be {JWT_BEARER}")
    return assertion


def _basic(encoded: str) -> Credentials:
    """RFC 6749 §2.3.1: both halves are form-encoded; ours look the same either way."""
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError as fault:
        raise InvalidRequest("the Basic credentials are not well-formed") from fault
    name, colon, secret = decoded.partition(":")
    client_id = unquote_plus(name)
    if not colon or not client_id or any(c < " " for c in decoded) or "\0" in client_id:
        raise InvalidRequest("the Basic credentials are not well-formed")
    return Credentials(client_id, unquote_plus(secret) or None, basic=True)


def _proven(client: Client, credentials: Credentials) -> bool:
    """A client with a secret may send it either way, whatever it registered; one without must not send any."""
    if client.secret_fingerprint is None or credentials.secret is None:
        return client.secret_fingerprint is None and credentials.secret is None
    return hmac.compare_digest(client.secret_fingerprint, fingerprint(credentials.secret))

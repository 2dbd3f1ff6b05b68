"""The thread through the browser steps: a pending authorization, sealed into the `req` of every URL and form (OAuth 2.1 §4.1)."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from app.protocol.errors import InvalidRequest
from app.protocol.pending import PUSHED_LIFETIME, REQUEST_URI, Pending, unpacked
from app.tokens.secrets import Unsealable, b64, unb64
from app.world import World

PUSHED = b"pushed"  # what is sealed for one purpose does not open for the other


def sealed(pending: Pending, world: World) -> str:
    return b64(world.secrets.pending.seal(pending.packed()))


def opened(req: str | None, world: World, now: datetime) -> Pending:
    """Raises InvalidRequest for one that is not ours or too old."""
    try:
        pending = unpacked(world.secrets.pending.open(unb64(req or "")))
    except (Unsealable, ValueError) as fault:
        raise InvalidRequest("this page does not belong to a sign-in; start again from your app") from fault
    if pending.expired(now):
        raise InvalidRequest("this sign-in took too long; start again from your app")
    return pending


def pushed(pending: Pending, world: World) -> str:
    """A `request_uri` (RFC 9126 §2.2): the checked request itself, sealed. So whoever pushes fills no table, and nothing
    needs sweeping. Price: a `request_uri` of some 500 characters."""
    return REQUEST_URI + b64(world.secrets.pending.seal(pending.packed(), PUSHED))


def pulled(request_uri: str, client_id: str, world: World, now: datetime) -> Pending:
    """Raises InvalidRequest for one that is not ours, another client's, or too old."""
    try:
        packed = world.secrets.pending.open(unb64(request_uri.removeprefix(REQUEST_URI)), PUSHED)
    except (Unsealable, ValueError) as fault:
        raise InvalidRequest("this server did not give this request_uri; start again from your app") from fault
    pending = unpacked(packed)
    if pending.client_id != client_id:
        raise InvalidRequest("this request_uri was given to another app")
    if pending.expired(now, PUSHED_LIFETIME):
        raise InvalidRequest("this request_uri is too old; start again from your app")
    return pending


def step(path: str, req: str) -> str:
    """The URL of a step: every step returns to /authorize/continue, and none knows another."""
    return f"{path}?{urlencode({'req': req})}"


def after(req: str | None) -> str:
    """Where a finished step sends the browser. There is no other place to return to, so no open redirect."""
    return step("/authorize/continue", req) if req else "/account"

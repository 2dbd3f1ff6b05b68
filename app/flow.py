"""The thread through the browser steps: a pending authorization, sealed into the `req` of every URL and form (OAuth 2.1 §4.1)."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode

from app.language import chosen, speak
from app.protocol.errors import InvalidRequest
from app.protocol.pending import PUSHED_LIFETIME, REQUEST_URI, Pending, unpacked
from app.protocol.user_code import normal, shown
from app.tokens.secrets import Unsealable, b64, unb64
from app.traces.recording import note
from app.world import World

PUSHED = b"pushed"  # what is sealed for one purpose does not open for the other
AT_DEVICE, AT_PAGE = "@", "~"  # no sealed value begins so
PAGE = re.compile(
    r"/(account|admin)(/[a-z0-9_-]+){0,4}"
)  # where somebody may be sent back to; nobody else's address fits


def sealed(pending: Pending, world: World) -> str:
    return b64(world.secrets.pending.seal(pending.packed()))


def opened(req: str | None, world: World, now: datetime) -> Pending:
    """Raises InvalidRequest for one that is not ours or too old."""
    try:
        pending = unpacked(world.secrets.pending.open(unb64(req or "")))
    except (Unsealable, ValueError) as fault:
        raise InvalidRequest("this page does not belong to a sign-in; start again from your app") from fault
    note(client_id=pending.client_id, link=pending.code_challenge, scope=list(pending.scope))
    if pending.expired(now):
        raise InvalidRequest("this sign-in took too long; start again from your app")
    speak(chosen(pending.ui_locales or ""))
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


def at_device(typed: str) -> str:
    """The `req` of somebody who waits at /device, with the code they brought, if any (RFC 8628 §3.3)."""
    return AT_DEVICE + (normal(typed) or "")


def is_at_device(req: str | None) -> bool:
    return req is not None and req.startswith(AT_DEVICE)


def at_page(path: str) -> str:
    """The `req` of somebody who is asked who they are before a page of theirs goes on."""
    return AT_PAGE + path


def is_at_page(req: str | None) -> bool:
    return req is not None and req.startswith(AT_PAGE)


def is_pending(req: str | None) -> bool:
    """True for a `req` that carries an authorization of an app, as far as its form tells."""
    return bool(req) and req[:1] not in (AT_DEVICE, AT_PAGE)  # type: ignore[index]


def after(req: str | None) -> str:
    """Where a finished step sends the browser: to one of four places of ours, so no open redirect."""
    if req and req.startswith(AT_PAGE):
        path = req.removeprefix(AT_PAGE)
        return path if PAGE.fullmatch(path) else "/account"
    if req and is_at_device(req):
        code = normal(req)
        return f"/device?user_code={shown(code)}" if code else "/device"
    return step("/authorize/continue", req) if req else "/account"

"""The thread through the browser steps: a pending authorization, sealed into the `req` of every URL and form (OAuth 2.1 §4.1)."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode

from app.language.catalogs import N_, _, chosen, speak
from app.protocol.errors import AccessDenied, InvalidRequest
from app.protocol.pending import PUSHED_LIFETIME, REQUEST_URI, Pending, unpacked
from app.protocol.redirect_uri import shown_host, with_parameters, without_query
from app.protocol.user_code import normal, shown
from app.tokens.secrets import Unsealable, b64, unb64
from app.traces.recording import note
from app.world import World

PUSHED = b"pushed"  # what is sealed for one purpose does not open for the other
AT_DEVICE, AT_PAGE = "@", "~"  # no sealed value begins so
TOO_LONG = N_("That took too long")
PAGE = re.compile(
    r"/(account|admin)(/[a-z0-9_-]+){0,4}|/connect/[a-z0-9-]{1,32}(\?scope=[A-Za-z0-9._~%+-]{1,1000})?"
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
    speak(chosen(pending.ui_locales or ""))
    if pending.expired(now):
        refusal = InvalidRequest("this sign-in took too long; start again from your app")
        refusal.heading = TOO_LONG
        refusal.way_back = (
            _to_the_app(pending, world),
            _("Return to {app}").format(app=shown_host(pending.redirect_uri)),
        )
        raise refusal
    return pending


def _to_the_app(pending: Pending, world: World) -> str:
    """Where the app hears that nothing came of it, for whoever follows the link: nobody is redirected there unasked."""
    told = {"error": AccessDenied.error, "error_description": "the user took too long", "state": pending.state}
    return with_parameters(pending.redirect_uri, {**told, "iss": world.settings.issuer})


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
    note(link=pending.code_challenge, redirect=without_query(pending.redirect_uri), scope=list(pending.scope))
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


def brought(req: str | None) -> str | None:
    """The device's code that somebody brought along to the sign-in, if that is what they come for."""
    return normal(req) if req and is_at_device(req) else None


def after(req: str | None) -> str:
    """Where a finished step sends the browser: to one of four places of ours, so no open redirect."""
    if req and req.startswith(AT_PAGE):
        path = req.removeprefix(AT_PAGE)
        return path if PAGE.fullmatch(path) else "/account"
    if req and is_at_device(req):
        code = brought(req)
        return f"/device?user_code={shown(code)}" if code else "/device"
    return step("/authorize/continue", req) if req else "/account"

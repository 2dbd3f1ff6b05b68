"""Where one service is the only way in: an app is allowed before its user is sent there (MCP security best practices "Confused Deputy")."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.protocol.pending import Pending
from app.protocol.provider import Provider
from app.protocol.scope import ADMIN
from app.protocol.types import Viewer
from app.tokens.secrets import b64
from app.upstream import flow
from app.upstream.depart import depart
from app.web.flow import sealed
from app.world import World

BEFORE = "before:"  # no session is called so


async def only_provider(world: World, now: datetime) -> Provider | None:
    """The one service that everybody signs in with; None where there is a choice."""
    if world.settings.sign_in != "providers":
        return None
    found = await world.providers.to_sign_in(now)
    return found[0] if len(found) == 1 else None


async def goes_first(world: World, pending: Pending, viewer: Viewer | None, now: datetime) -> Provider | None:
    """Where to sign in after this app is allowed; None where people sign in first, as an admin does who is to give `admin`:
    `viewer` is who signed in too long ago, if anybody."""
    if viewer is not None and ADMIN in pending.scope:
        return None
    return await only_provider(world, now) if by_anybody(pending).scope else None


def by_anybody(pending: Pending) -> Pending:
    """Without what only some can give, as long as nobody knows who it is."""
    return replace(pending, scope=tuple(word for word in pending.scope if word != ADMIN))


def approved_in(pending: Pending, world: World, browser: str) -> Pending:
    """Allowed by whoever sits at this browser, who has yet to sign in."""
    return replace(pending, approved_by=_mark(world, browser))


async def send_away(request: Request, world: World, provider: Provider, pending: Pending) -> Response:
    """To the service; what was allowed here comes back with whoever signs in there, in this browser."""
    browser = flow.browser(request, world) or flow.new_browser()
    assert provider.sign_in is not None
    req = sealed(approved_in(pending, world, browser), world)
    leaving = flow.new(provider.name, flow.SIGN_IN, provider.sign_in.scopes, req=req)
    return await depart(request, world, provider, leaving, browser=browser)


def forget(response: Response, world: World) -> None:
    """What was allowed before signing in counts for one sign-in: for whoever comes next, this is another browser."""
    flow.set_cookie(response, world, flow.new_browser())


def is_approved_here(request: Request, world: World, pending: Pending) -> bool:
    """True when exactly this request was allowed in this very browser, before its user signed in."""
    browser = flow.browser(request, world)
    if browser is None or pending.approved_by is None:
        return False
    return hmac.compare_digest(pending.approved_by.encode(), _mark(world, browser).encode())


def _mark(world: World, browser: str) -> str:
    return BEFORE + b64(world.secrets.forms.mac(b"allowed before signing in\0" + browser.encode()))

"""Who opens or sends a page of their own; before dangerous ones they sign in again, unless they just did (OWASP)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.protocol.params import Params
from app.protocol.types import Viewer
from app.web import sessions
from app.web.flow import at_page, step
from app.web.http import client_address, form, see_other
from app.world import World


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is signed in; `secret` is their cookie's."""

    viewer: Viewer
    secret: str
    now: datetime
    address: str
    csrf: str
    is_recent: bool


async def visit(request: Request, world: World, page: str, *, recent: bool = False) -> Visit | Response:
    """The visitor of a page, or the redirect to the sign-in that leads back to `page`."""
    now, secret = world.now(), sessions.cookie(request, world)
    viewer = await sessions.viewer(request, world, now)
    is_recent = viewer is not None and sessions.is_recent(viewer, now)
    if viewer is None or secret is None or (recent and not is_recent):
        return see_other(step("/login", at_page(page)))
    address = client_address(request, world.settings.trusted_proxies)
    return Visit(viewer, secret, now, address, sessions.form_token(secret, world), is_recent)


async def sent(request: Request, world: World, page: str, *, recent: bool) -> tuple[Visit, Params] | Response:
    """As `visit`, for a form; its fields are those of our own page in this browser."""
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    visitor = await visit(request, world, page, recent=recent)
    return visitor if isinstance(visitor, Response) else (visitor, fields)

"""Who is let in here: a signed-in admin, or a token with the scope `admin` that stands for one (RFC 6750, RFC 9470 §3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.api_keys.callers import Callers
from app.api_keys.store import is_admin
from app.protocol.errors import InsufficientScope, NotFound, NoToken, OAuthError, SignInAgain
from app.protocol.scope import ADMIN
from app.web import sessions
from app.web.flow import PAGE, at_page, step
from app.web.http import json_refusal, see_other
from app.web.pages import page_refusal
from app.web.sessions import Visit as Visit
from app.world import World


@dataclass(frozen=True, slots=True)
class Caller:
    """An admin's program, or their browser, at the JSON API."""

    world: World
    user_id: str
    now: datetime


def nothing_here() -> NotFound:
    """What anybody else is told, word for word as of an address that nobody serves."""
    return NotFound("nothing is served at this address")


def refused(refusal: OAuthError, request: Request, world: World) -> Response:
    """The renderer of refusals here: a page for browsers, JSON for programs, as everywhere."""
    wants_page = refusal.status != 404 or "text/html" in request.headers.get("accept", "")
    return (page_refusal if wants_page else json_refusal)(refusal, request, world)


async def entered(request: Request, world: World, page: str) -> Visit | Response:
    """The visit of an admin; the way to the sign-in page, and back to `page`, for who is not signed in. Raises NotFound."""
    visit = await sessions.visit(request, world)
    if visit is None:
        return to_login(page)
    if not visit.viewer.is_admin:
        raise nothing_here()
    return visit


def to_login(page: str) -> Response:
    """To say who it is, or to say it again, and back to this page."""
    return see_other(step("/login", at_page(page if PAGE.fullmatch(page) else "/admin")))


async def called(request: Request, world: World, callers: Callers) -> Caller:
    """Whoever calls the JSON API. A token decides when there is one; else the session, for requests of our own pages only,
    and for deeds only soon after signing in. Raises NoToken, NotFound, AccessDenied, InsufficientScope, SignInAgain."""
    now = world.now()
    if "authorization" in request.headers:
        principal = await callers.principal(request, now)
        callers.note(principal, now)
        if ADMIN not in principal.scope:
            raise InsufficientScope("this token was not given the scope admin", frozenset({ADMIN}))
        if not await is_admin(world.pool, principal.subject):
            raise nothing_here()
        return Caller(world, principal.subject, now)
    sessions.check_own_page(request, world)
    viewer = await sessions.viewer(request, world, now)
    if viewer is None:
        raise NoToken("sign in, or send a token with the scope admin")
    if not viewer.is_admin:
        raise nothing_here()
    if request.method not in ("GET", "HEAD") and not sessions.is_recent(viewer, now):
        raise SignInAgain("sign in again before you change anything")
    return Caller(world, viewer.user_id, now)

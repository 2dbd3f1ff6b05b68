"""GET and POST /invitation: whoever was invited chooses a name and a password, or hears which service to come by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import _
from app.tokens.secrets import fingerprint
from app.users.invitations import store
from app.users.join import Newcomer, join, show
from app.users.link_page import code_in, sent
from app.users.offers import has_own_ways
from app.web.pages import error_page
from app.world import World

PATH = "/invitation"


async def show_invitation(request: Request, world: World) -> Response:
    code = code_in(request)
    newcomer = await _newcomer(world, code)
    if newcomer is None:
        return _gone()
    return show(request, world, PATH, code, newcomer) if has_own_ways(world) else _by_service(newcomer)


async def accept(request: Request, world: World) -> Response:
    """The account, for the one request that uses the invitation."""
    fields = await sent(request, world)
    code = fields.get("code") or ""
    newcomer = await _newcomer(world, code)
    if newcomer is None:
        return _gone()
    if not has_own_ways(world):
        return _by_service(newcomer)

    async def claim(db: AsyncConnection, now: datetime) -> bool:
        used = await store.consume(db, fingerprint(code), now)
        if used is not None:
            await audit.record(db, "invitation.accepted", now, email=used.email, by=used.invited_by)
        return used is not None

    return await join(request, world, PATH, fields, newcomer, claim, _gone())


async def _newcomer(world: World, code: str) -> Newcomer | None:
    if world.settings.sign_up == "closed":
        return None
    async with world.db.connect() as db:
        found = await store.find(db, fingerprint(code), world.now())
    if found is None or (found.is_admin and not has_own_ways(world)):  # no service makes an admin
        return None
    return Newcomer(found.email, found.is_admin, is_verified=found.mailed, via="invitation")


def _by_service(newcomer: Newcomer) -> Response:
    """Where services are the only way in: whoever comes by one with this address has accepted."""
    return error_page(
        _("Sign in with a service that knows you by {email}: your account is made then.").format(email=newcomer.email),
        status=200,
        heading=_("You are invited"),
        link="/login",
        link_text=_("Sign in"),
    )


def _gone() -> Response:
    return error_page(
        _("It was accepted already, it is more than a week old, or it was taken back."),
        status=410,
        heading=_("This invitation does not work any more"),
        next_step=_("Ask whoever invited you for a new one."),
    )

"""GET and POST /invitation: whoever was invited chooses a name and a password."""

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
from app.web.pages import error_page
from app.world import World

PATH = "/invitation"


async def show_invitation(request: Request, world: World) -> Response:
    code = code_in(request)
    newcomer = await _newcomer(world, code)
    return show(request, world, PATH, code, newcomer) if newcomer else _gone()


async def accept(request: Request, world: World) -> Response:
    """The account, for the one request that uses the invitation."""
    fields = await sent(request, world)
    code = fields.get("code") or ""
    newcomer = await _newcomer(world, code)
    if newcomer is None:
        return _gone()

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
    if found is None:
        return None
    return Newcomer(found.email, found.is_admin, is_verified=found.mailed, via="invitation")


def _gone() -> Response:
    return error_page(
        _("It was accepted already, it is more than a week old, or it was taken back."),
        status=410,
        heading=_("This invitation does not work any more"),
        next_step=_("Ask whoever invited you for a new one."),
    )

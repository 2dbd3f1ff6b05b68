"""GET and POST /sign-up and /sign-up/verify: an account of one's own, where that is open; first the address, proven by a link."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import _
from app.mail import Letter
from app.protocol.params import parse
from app.tokens.secrets import fingerprint
from app.users import accounts, letters, store
from app.users.by_mail import Asked, ask
from app.users.carried import goes_on, is_elsewhere
from app.users.join import Newcomer, join, show
from app.users.link_page import code_in, gone, page, sent
from app.users.offers import can_sign_up
from app.web.pages import error_page
from app.world import World

PATH, VERIFY = "/sign-up", "/sign-up/verify"


async def show_sign_up(request: Request, world: World) -> Response:
    if not can_sign_up(world):
        return _closed(world)
    params = parse(request.scope["query_string"])
    req, is_sent = params.get("req") or "", bool(params.get("sent"))
    return page(request, world, "sign_up.html", req=req, email="", sent=is_sent, can_mail=True)


async def sign_up(request: Request, world: World) -> Response:
    """A letter either way: with the link, or saying that there is an account already."""
    if not can_sign_up(world):
        return _closed(world)
    return await ask(request, world, PATH, "sign_up.html", _write)


async def show_verify(request: Request, world: World) -> Response:
    code = code_in(request)
    newcomer = await _newcomer(request, world, code)
    return show(request, world, VERIFY, code, newcomer) if newcomer else gone(world, ask=PATH)


async def verify(request: Request, world: World) -> Response:
    """The account is made, with an address that is known to be theirs."""
    fields = await sent(request, world)
    code = fields.get("code") or ""
    newcomer = await _newcomer(request, world, code)
    if newcomer is None:
        return gone(world, ask=PATH)

    async def claim(db: AsyncConnection, now: datetime) -> bool:
        return await store.consume_link(db, fingerprint(code), "sign_up", now) is not None

    return await join(request, world, VERIFY, fields, newcomer, claim, gone(world, ask=PATH))


async def _newcomer(request: Request, world: World, code: str) -> Newcomer | None:
    if not can_sign_up(world):
        return None
    async with world.db.connect() as db:
        link = await store.link(db, fingerprint(code), "sign_up", world.now())
    if link is None or link.email is None:
        return None
    elsewhere = is_elsewhere(link, request, world)
    return Newcomer(link.email, req=goes_on(link, request, world), is_elsewhere=elsewhere)


async def _write(world: World, asked: Asked) -> Letter | None:
    now = world.now()
    async with world.db.begin() as db:
        user = await store.by_email(db, asked.email)
        if user is not None:
            return letters.has_account(user, world.settings, asked.language)
        link = store.Link("sign_up", None, asked.email, asked.req, asked.browser)
        code = await accounts.mailed_link(db, link, now)
        await audit.record(db, "link.mailed", now, address=asked.address, purpose="sign_up")
    return letters.verify(asked.email, f"{world.settings.issuer}{VERIFY}?code={code}", asked.language)


def _closed(world: World) -> Response:
    invited = world.settings.sign_up == "invited"
    return error_page(
        _("Accounts are made by invitation here.") if invited else _("Nobody can make an account here by themselves."),
        status=404,
        heading=_("Sign-up is not open"),
        next_step=_("Ask the people who run this server."),
        link="/login",
        link_text=_("Sign in"),
    )

"""GET and POST /login/link/open: the link that signs in, by a button, since mail scanners open links (NIST SP 800-63B-4 §3.1.3.1)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app.tokens.secrets import fingerprint
from app.users import store
from app.users.carried import goes_on, is_elsewhere
from app.users.link_page import code_in, gone, page, sent
from app.users.sign_in import first_factor_spent
from app.world import World

AGAIN = "/login/link"


async def show_open(request: Request, world: World) -> Response:
    """Whom the link signs in; uses nothing up."""
    code = code_in(request)
    link = await _link(world, code, world.now())
    if link is None:
        return gone(world, ask=AGAIN)
    elsewhere = is_elsewhere(link, request, world)
    return page(request, world, "link_open.html", code=code, email=link.email, elsewhere=elsewhere)


async def open_link(request: Request, world: World) -> Response:
    """The first step of signing in, for the one request that uses the link."""
    fields, now = await sent(request, world), world.now()
    code = fields.get("code") or ""
    link = await _link(world, code, now)
    if link is None or link.user_id is None:
        return gone(world, ask=AGAIN)

    async def spend(db: AsyncConnection, since: datetime | None) -> bool:
        used = await store.consume_link(db, fingerprint(code), "login", now)
        if used is not None and used.user_id is not None and used.email is not None:
            await store.set_email_verified(db, used.user_id, used.email, now)
        return used is not None

    req = goes_on(link, request, world)
    return await first_factor_spent(request, world, link.user_id, "link", req, now, spend) or gone(world, ask=AGAIN)


async def _link(world: World, code: str, now: datetime) -> store.Link | None:
    async with world.db.connect() as db:
        return await store.link(db, fingerprint(code), "login", now)

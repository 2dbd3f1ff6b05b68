"""GET and POST /account/delete: an account and everything of it, gone, once its owner has said so twice."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from app.account import frame
from app.language.catalogs import N_, _
from app.protocol.email import normal_email
from app.upstream.services import give_back
from app.upstream.vault import store as accounts
from app.users.remove import remove
from app.web import sessions
from app.web.http import see_other
from app.web.pages import render
from app.world import World

PATH = "/account/delete"
NOT_IT = N_("That is not the e-mail address of this account.")
LAST_ADMIN = N_("You are the only admin here. Make somebody else an admin first.")


async def show(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    if visit is None or not visit.is_recent:
        return frame.to_login(PATH)
    return frame.page(visit, "account_delete.html", email="", fault=None)


async def delete(request: Request, world: World) -> Response:
    """Tokens end within a second."""
    visit, fields = await frame.sent(request, world)
    if visit is None or not visit.is_recent:
        return frame.to_login(PATH)
    typed, me = fields.get("email") or "", visit.viewer
    if normal_email(typed) != me.email:
        return frame.page(visit, "account_delete.html", status=400, email=typed[:254], fault=_(NOT_IT))
    async with world.db.begin() as db:
        services = await accounts.of_user(db, me.user_id)
        gone = await remove(db, me.user_id, me.user_id, visit.now, lifetime=world.token_lifetime)
    if not gone:
        return frame.page(visit, "account_delete.html", status=400, email=typed, fault=_(LAST_ADMIN))
    await asyncio.gather(*(give_back(world, service, visit.now) for service in services))
    response = see_other("/goodbye")
    sessions.set_cookie(response, world, sessions.new_cookie())
    return response


async def goodbye(request: Request, world: World) -> Response:
    return render("goodbye.html")

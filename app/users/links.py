"""GET and POST /setup and /password: the one-time links of the first owner and of a forgotten password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import sessions
from app.http import client_address, form, see_other
from app.limits import ONE_TIME_LINK, hit
from app.pages import error_page, render
from app.protocol.email import normal_email
from app.protocol.params import Params, parse
from app.tokens.secrets import fingerprint
from app.users import accounts, passwords, store
from app.world import World

GONE = "This link was used already, is more than a day old, or was replaced by a newer one."


@dataclass(frozen=True, slots=True)
class Form:
    """What the person typed, and what is wrong with it."""

    code: str
    email: str
    name: str
    error: str | None = None


async def show_setup(request: Request, world: World) -> Response:
    code = parse(request.scope["query_string"]).get("code") or ""
    return await _show(request, world, "setup", Form(code, "", ""))


async def show_password(request: Request, world: World) -> Response:
    code = parse(request.scope["query_string"]).get("code") or ""
    return await _show(request, world, "password", Form(code, "", ""))


async def set_up(request: Request, world: World) -> Response:
    """Makes the first owner, who is an admin, and signs them in."""
    fields = await _sent(request, world)
    typed = Form(fields.get("code") or "", fields.get("email") or "", fields.get("name") or "")
    email, password = normal_email(typed.email), fields.verbatim("password") or ""
    wrong = passwords.fault(password) if email else "That does not look like an e-mail address."
    if wrong or email is None:
        return await _show(request, world, "setup", Form(typed.code, typed.email, typed.name, wrong))
    hashed, now = await passwords.hashed(password, world.hashing), world.now()
    async with world.db.begin() as db:
        secret = await _first_owner(db, request, world, typed, email, hashed, now)
    return _signed_in(world, secret)


async def _first_owner(
    db: AsyncConnection, request: Request, world: World, typed: Form, email: str, hashed: str, now: datetime
) -> str | None:
    """The secret of the new session, or None when the link has been used meanwhile."""
    if not await store.consume_link(db, fingerprint(typed.code), "setup", now) or not await store.is_empty(db):
        return None
    user = await accounts.create(db, email, typed.name, hashed, now, is_admin=True)
    return await sessions.start(db, request, world, user.id, now) if user else None


async def set_password(request: Request, world: World) -> Response:
    """A new password for the owner of the link, who is then signed in here and nowhere else."""
    fields = await _sent(request, world)
    code, password = fields.get("code") or "", fields.verbatim("password") or ""
    wrong = passwords.fault(password)
    if wrong:
        return await _show(request, world, "password", Form(code, "", "", wrong))
    hashed, now, key = await passwords.hashed(password, world.hashing), world.now(), fingerprint(code)
    secret = None
    async with world.db.begin() as db:
        owner = await store.link_owner(db, key, "password", now)
        if owner and owner[0] and await store.consume_link(db, key, "password", now):
            await accounts.change_password(db, owner[0], hashed, now)
            secret = await sessions.start(db, request, world, owner[0], now)
    return _signed_in(world, secret)


async def _sent(request: Request, world: World) -> Params:
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    address = client_address(request, world.settings.trusted_proxies)
    await hit(world.pool, ONE_TIME_LINK, address, world.now())
    return fields


async def _show(request: Request, world: World, purpose: str, typed: Form) -> Response:
    """The page of a link that still works, looked at as often as one likes: mail scanners open links too."""
    async with world.db.connect() as db:
        owner = await store.link_owner(db, fingerprint(typed.code), purpose, world.now())
        email = await store.email_of(db, owner[0]) if owner and owner[0] else typed.email
    if owner is None:
        return _gone()
    fresh = sessions.cookie(request, world) or sessions.new_cookie()
    response = render(
        f"{purpose}.html",
        status=400 if typed.error else 200,
        csrf=sessions.form_token(fresh, world),
        code=typed.code,
        email=email,
        name=typed.name,
        error=typed.error,
    )
    sessions.set_cookie(response, world, fresh)
    return response


def _signed_in(world: World, secret: str | None) -> Response:
    if secret is None:
        return _gone()
    response = see_other("/account")
    sessions.set_cookie(response, world, secret)
    return response


def _gone() -> Response:
    return error_page(
        GONE,
        status=410,
        heading="This link does not work any more",
        next_step="Make a new one on the server: start it again for the set-up link, "
        "or run: gatehouse user reset-password E-MAIL",
    )

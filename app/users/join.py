"""The page where somebody new chooses a name and a password, by an invitation or after signing up: their account is made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app.language.catalogs import _
from app.protocol.params import Params
from app.users import accounts, passwords
from app.users.link_page import about, faults_of, page
from app.users.passwords import Judged
from app.users.sign_in import first_factor_done
from app.web.pages import error_page
from app.world import World


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who may join, as the link says. `is_verified`: it came to this address by mail."""

    email: str
    is_admin: bool = False
    is_verified: bool = True
    req: str | None = None
    is_elsewhere: bool = False  # an app waits, in another browser
    via: str = "sign-up"


Claim = Callable[[AsyncConnection, datetime], Awaitable[bool]]


def show(
    request: Request,
    world: World,
    action: str,
    code: str,
    newcomer: Newcomer,
    name: str = "",
    judged: Judged | None = None,
) -> Response:
    return page(
        request,
        world,
        "join.html",
        action=action,
        code=code,
        email=newcomer.email,
        elsewhere=newcomer.is_elsewhere,
        invited=newcomer.via == "invitation",
        name=name,
        judged=judged,
        faults=faults_of(judged) if judged else {},
    )


async def join(
    request: Request, world: World, action: str, fields: Params, newcomer: Newcomer, claim: Claim, gone: Response
) -> Response:
    """The account, for the one request whose `claim` uses the link up; then on to sign in."""
    code, name, password = fields.get("code") or "", fields.get("name") or "", fields.verbatim("password") or ""
    judged = await passwords.judged(password, about(world, newcomer.email, name), world.hashing)
    if judged.fault:
        return show(request, world, action, code, newcomer, name[:100], judged)
    hashed, now = await passwords.hashed(password, world.hashing), world.now()
    async with world.db.begin() as db:
        claimed = await claim(db, now)
        user = await _made(db, newcomer, name, hashed, now) if claimed else None
    if not claimed:
        return gone
    if user is None:
        return _taken()
    return await first_factor_done(request, world, user, "link", newcomer.req, now)


async def _made(db: AsyncConnection, newcomer: Newcomer, name: str, hashed: str, now: datetime) -> str | None:
    """The id of the account; None when somebody made one with this address meanwhile."""
    user = await accounts.create(
        db,
        newcomer.email,
        name,
        hashed,
        now,
        is_admin=newcomer.is_admin,
        is_verified=newcomer.is_verified,
        via=newcomer.via,
    )
    return user.id if user else None


def _taken() -> Response:
    """Told to whoever had the link to this very mailbox, so it is no secret."""
    return error_page(
        _("This address has an account already. Sign in with it."),
        status=409,
        heading=_("You have an account already"),
        link="/login",
        link_text=_("Sign in"),
    )

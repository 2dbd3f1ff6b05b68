"""GET and POST /setup and /password: the one-time links of the first owner and of a forgotten password."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.language.catalogs import _
from app.protocol.email import normal_email
from app.protocol.params import Params
from app.tokens.secrets import fingerprint
from app.users import accounts, passwords, store
from app.users.carried import goes_on, is_elsewhere
from app.users.link_page import about, code_in, faults_of, gone, page, sent
from app.users.notices import notify
from app.users.passwords import Judged
from app.users.sign_in import first_factor_done
from app.world import World

FORGOT = "/password/forgot"


async def show_setup(request: Request, world: World) -> Response:
    """The page of a link that still works, looked at as often as one likes: mail scanners open links too."""
    code = code_in(request)
    if await _link(world, code, "setup") is None:
        return gone(world)
    return page(request, world, "setup.html", code=code, email="", name="", judged=None)


async def set_up(request: Request, world: World) -> Response:
    """Makes the first owner, who is an admin, and signs them in."""
    fields = await sent(request, world)
    code, email = fields.get("code") or "", normal_email(fields.get("email") or "")
    if await _link(world, code, "setup") is None:
        return gone(world)
    judged = await _judged(world, fields, email)
    faults = faults_of(judged, email=None if email else _("That does not look like an e-mail address."))
    if faults or email is None:
        typed, name = fields.get("email") or "", fields.get("name") or ""
        return page(
            request, world, "setup.html", code=code, judged=judged, faults=faults, email=typed[:254], name=name[:100]
        )
    hashed, now = await passwords.hashed(fields.verbatim("password") or "", world.hashing), world.now()
    user_id = await _first_owner(world, code, email, fields.get("name") or "", hashed, now)
    return await first_factor_done(request, world, user_id, "link", None, now) if user_id else gone(world)


async def _first_owner(world: World, code: str, email: str, name: str, hashed: str, now: datetime) -> str | None:
    """The id, or None when the link has been used meanwhile."""
    async with world.db.begin() as db:
        if not await store.consume_link(db, fingerprint(code), "setup", now) or not await store.is_empty(db):
            return None
        user = await accounts.create(db, email, name, hashed, now, is_admin=True, via="setup")
        return user.id if user else None


async def show_password(request: Request, world: World) -> Response:
    return await _password_page(request, world, code_in(request))


async def set_password(request: Request, world: World) -> Response:
    """A new password for the owner of the link; every session ends, and this browser goes on to sign in."""
    fields = await sent(request, world)
    code = fields.get("code") or ""
    user = await _owner(world, await _link(world, code, "password"))
    if user is None:
        return gone(world, ask=FORGOT)
    judged = await _judged(world, fields, user.email, user.name)
    if judged.fault:
        return await _password_page(request, world, code, judged)
    hashed, now = await passwords.hashed(fields.verbatim("password") or "", world.hashing), world.now()
    async with world.db.begin() as db:
        link = await store.consume_link(db, fingerprint(code), "password", now)
        if link is not None and link.user_id is not None:
            await accounts.change_password(db, link.user_id, hashed, now)
            if link.email is not None:
                await store.set_email_verified(db, link.user_id, link.email, now)
    if link is None or link.user_id is None:
        return gone(world, ask=FORGOT)
    notify(world, link.user_id, "password.changed")
    return await first_factor_done(request, world, link.user_id, "link", goes_on(link, request, world), now)


async def _password_page(request: Request, world: World, code: str, judged: Judged | None = None) -> Response:
    link = await _link(world, code, "password")
    user = await _owner(world, link)
    if link is None or user is None:
        return gone(world, ask=FORGOT)
    return page(
        request,
        world,
        "password.html",
        code=code,
        email=user.email,
        elsewhere=is_elsewhere(link, request, world),
        judged=judged,
        faults=faults_of(judged) if judged else {},
    )


async def _judged(world: World, fields: Params, *known: str | None) -> Judged:
    words = about(world, *known, fields.get("name"))
    return await passwords.judged(fields.verbatim("password") or "", words, world.hashing)


async def _link(world: World, code: str, purpose: str) -> store.Link | None:
    async with world.db.connect() as db:
        return await store.link(db, fingerprint(code), purpose, world.now())


async def _owner(world: World, link: store.Link | None) -> store.User | None:
    if link is None or link.user_id is None:
        return None
    async with world.db.connect() as db:
        return await store.by_id(db, link.user_id)

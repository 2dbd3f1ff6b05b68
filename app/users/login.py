"""GET and POST /login, POST /logout: password sign-in, throttled, telling nobody which accounts exist (OWASP authentication rules)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import _, ngettext
from app.protocol.email import normal_email
from app.protocol.errors import TooManyRequests
from app.protocol.params import Params, parse
from app.traces.recording import note
from app.users import passwords, store, throttle
from app.users.login_page import login_page
from app.users.sign_in import first_factor_spent
from app.web import sessions
from app.web.flow import step
from app.web.http import client_address, form, see_other
from app.world import World


async def show_login(request: Request, world: World) -> Response:
    """The sign-in page, for a pending authorization or for a page of ours."""
    params = parse(request.scope["query_string"])
    return await login_page(request, world, params.get("req"), world.now())


async def log_in(request: Request, world: World) -> Response:
    """The password; then the second step, or back to what was interrupted."""
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    email, password = normal_email(fields.get("email") or ""), fields.verbatim("password") or ""
    try:
        attempt = await throttle.admit(request, world, email, world.now())
    except TooManyRequests as refusal:
        note(error=refusal.error, description=refusal.description)
        page = await _again(request, world, fields, too_many(refusal), 429)
        page.headers.update(refusal.headers)
        return page
    found = await store.login(world.pool, email) if email else None
    if not await passwords.matches(found.hash if found else None, password, world.hashing) or found is None:
        return await _refused(request, world, fields)
    await throttle.was_right(world, attempt)
    await _keep_hash_fresh(world, found, password)
    compared = found.since

    async def is_still(db: AsyncConnection, since: datetime | None) -> bool:
        return since == compared

    req, now = fields.get("req"), world.now()
    entered = await first_factor_spent(request, world, found.user_id, "password", req, now, is_still)
    return entered or await _refused(request, world, fields)


async def _refused(request: Request, world: World, fields: Params) -> Response:
    """Not the password, or not any more: it takes a while to compare one."""
    address = client_address(request, world.settings.trusted_proxies)
    async with world.db.begin() as db:
        await audit.record(db, "login.refused", world.now(), address=address)
    wrong = _("That e-mail and password do not belong together.")
    note(error="wrong_password", description="That e-mail and password do not belong together.")
    return await _again(request, world, fields, wrong, 400)


async def _keep_hash_fresh(world: World, stored: store.Login, password: str) -> None:
    """Whoever comes with the right password gets it hashed with today's parameters."""
    if passwords.needs_rehash(stored.hash):
        better = await passwords.hashed(password, world.hashing)
        async with world.db.begin() as db:
            await store.set_hash(db, stored, better)


async def log_out(request: Request, world: World) -> Response:
    """Ends this session; with `req`, to sign in as somebody else."""
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    async with world.db.begin() as db:
        await sessions.end(db, request, world)
    req = fields.get("req")
    response = see_other(step("/login", req) if req else "/")
    sessions.set_cookie(response, world, sessions.new_cookie())
    return response


def too_many(refusal: TooManyRequests) -> str:
    """When to come again, in the words of the page."""
    seconds = refusal.retry_after or 60
    if seconds < 60:
        return _("Too many attempts. Wait a few seconds and try again.")
    minutes = -(-seconds // 60)
    return ngettext(
        "Too many attempts. Try again in %(num)s minute.", "Too many attempts. Try again in %(num)s minutes.", minutes
    ) % {"num": minutes}


async def _again(request: Request, world: World, fields: Params, error: str, status: int) -> Response:
    """The page once more, with what was typed but the password."""
    email = fields.get("email")
    return await login_page(request, world, fields.get("req"), world.now(), email=email, error=error, status=status)

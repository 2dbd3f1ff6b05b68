"""GET and POST /login, POST /logout: password sign-in, throttled, telling nobody which accounts exist (OWASP authentication rules)."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit, sessions
from app.clients import store as clients
from app.flow import after, is_at_device, is_pending, opened, step
from app.http import client_address, form, see_other
from app.limits import LOGIN_ACCOUNT, LOGIN_ADDRESS, forgive, hit
from app.pages import render
from app.protocol import redirect_uri as uris
from app.protocol.errors import InvalidRequest, TooManyRequests
from app.protocol.params import Params, parse
from app.tokens.secrets import fingerprint
from app.traces.recording import note
from app.users import passwords, store
from app.users.accounts import normal_email
from app.users.offers import offers
from app.world import World

WRONG = "That e-mail and password do not belong together."


async def show_login(request: Request, world: World) -> Response:
    """The sign-in page, for a pending authorization or for the account page."""
    params = parse(request.scope["query_string"])
    return await _page(request, world, params.get("req"), world.now())


async def log_in(request: Request, world: World) -> Response:
    """A new session, and back to what was interrupted."""
    now = world.now()
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    req = fields.get("req")
    email, password = normal_email(fields.get("email") or ""), fields.verbatim("password") or ""
    address = client_address(request, world.settings.trusted_proxies)
    try:
        await hit(world.pool, LOGIN_ADDRESS, address, now)
        await hit(world.pool, LOGIN_ACCOUNT, _key(email, address), now)
    except TooManyRequests as refusal:
        minutes = -(-(refusal.retry_after or 60) // 60)
        note(error=refusal.error, description=refusal.description)
        again = f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."
        page = await _page(request, world, req, now, fields, again, 429)
        page.headers.update(refusal.headers)
        return page
    found = await store.login(world.pool, email) if email else None
    if not await passwords.matches(found[1] if found else None, password, world.hashing) or found is None:
        async with world.db.begin() as db:
            await audit.record(db, "login.refused", now, address=address)
        note(error="wrong_password", description=WRONG)
        return await _page(request, world, req, now, fields, WRONG, 400)
    return await _welcome(request, world, found, password, req, _key(email, address), now)


async def _welcome(
    request: Request, world: World, found: tuple[str, str], password: str, req: str | None, key: str, now: datetime
) -> Response:
    user_id, stored = found
    better = await passwords.hashed(password, world.hashing) if passwords.needs_rehash(stored) else None
    async with world.db.begin() as db:
        if better is not None:
            await store.set_password(db, user_id, better, now)
        secret = await sessions.start(db, request, world, user_id, now)
        address = client_address(request, world.settings.trusted_proxies)
        await audit.record(db, "login", now, user_id=user_id, address=address)
    await forgive(world.pool, LOGIN_ACCOUNT, key)
    note(user_id=user_id, signed_in=True)
    if is_pending(req):
        with suppress(InvalidRequest):
            opened(req, world, now)  # says in the trace which sign-in this was
    response = see_other(after(req))
    sessions.set_cookie(response, world, secret)
    return response


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


async def _page(
    request: Request,
    world: World,
    req: str | None,
    now: datetime,
    fields: Params | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    pending = opened(req, world, now) if is_pending(req) else None
    client = await clients.client(world.pool, pending.client_id) if pending else None
    note(client_name=client.client_name if client else None)
    secret = sessions.cookie(request, world)
    fresh = secret or sessions.new_cookie()
    response = render(
        "login.html",
        status=status,
        csrf=sessions.form_token(fresh, world),
        req=req or "",
        email=(fields.get("email") if fields else pending.login_hint if pending else None) or "",
        error=error,
        client_name=client.client_name if client else None,
        redirect_host=uris.shown_host(pending.redirect_uri) if pending else None,
        at_device=is_at_device(req),
        **offers(world),
    )
    if secret is None:
        sessions.set_cookie(response, world, fresh)
    return response


def _key(email: str | None, address: str) -> str:
    """Whose attempts are counted together; the e-mail itself is not kept."""
    return f"{fingerprint(email or '').hex()}:{address}"

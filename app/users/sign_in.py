"""What every way of signing in comes to: a second step where there is one, a new session, and back to what was interrupted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.protocol.errors import InvalidRequest
from app.tokens.secrets import fingerprint
from app.traces.recording import note
from app.users import half, store
from app.users.devices import store as devices
from app.users.devices.cookie import device, new_device, set_device
from app.users.totp import store as totp
from app.web import sessions
from app.web.flow import after, brought, is_pending, opened, step
from app.web.http import client_address, see_other
from app.world import World

# Told since when the password is the one it is, if there is one.
Spend = Callable[[AsyncConnection, datetime | None], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Entered:
    """The secrets of the two cookies."""

    session: str
    device: str


async def first_factor_done(
    request: Request, world: World, user_id: str, method: str, req: str | None, now: datetime
) -> Response:
    """For whoever proved one thing (`method`: password, link): on to the second step, or in, where none is asked."""
    response = await first_factor_spent(request, world, user_id, method, req, now, _nothing)
    return response or see_other(step("/login", req) if req else "/login")


async def first_factor_spent(
    request: Request, world: World, user_id: str, method: str, req: str | None, now: datetime, spend: Spend
) -> Response | None:
    """The same by what is good once: used up with the session that it opens, or not at all. None: somebody else was faster,
    or they may not sign in any more."""
    async with world.db.begin() as db:
        may = await store.hold(db, user_id)  # what is asked from here on stays as it is until the session is there
        had = await store.password_of(db, user_id)
        since = had[1] if had else None
        spent = may and await spend(db, since)
        method, is_half = await _after_first(db, request, world, user_id, method, now)
        entered = await enter(db, request, world, user_id, method, now) if spent and not is_half else None
    if not spent:
        return None
    if entered is None:
        return _to_second_step(request, world, half.Half(user_id, method, now, since), req)
    return welcome(world, entered, user_id, req, now)


async def _nothing(db: AsyncConnection, since: datetime | None) -> bool:
    """To be spent."""
    return True


async def _after_first(
    db: AsyncConnection, request: Request, world: World, user_id: str, method: str, now: datetime
) -> tuple[str, bool]:
    """What was proven by now, and whether there is a second step to take."""
    if await totp.on_since(db, user_id) is None:
        return method, False
    this = device(request, world)
    if this is None or not await devices.is_trusted(db, this, user_id, now):
        return method, True
    return f"{method}+device", False


async def enter(
    db: AsyncConnection,
    request: Request,
    world: World,
    user_id: str,
    method: str,
    now: datetime,
    *,
    trust_device: bool = False,
) -> Entered:
    """A session of its own for this sign-in, and this device known from now on, in the caller's transaction."""
    session, new = await sessions.start(db, request, world, user_id, now, method=method), new_device()
    await devices.remember(
        db,
        device(request, world),
        fingerprint(new),
        user_id,
        request.headers.get("user-agent", ""),
        now,
        trusted_until=now + devices.TRUSTED_FOR if trust_device else None,
    )
    address = client_address(request, world.settings.trusted_proxies)
    await audit.record(db, "login", now, user_id=user_id, address=address, method=method)
    if trust_device:
        await audit.record(db, "remembered_device.added", now, user_id=user_id, address=address)
    return Entered(session, new)


def welcome(world: World, entered: Entered, user_id: str, req: str | None, now: datetime) -> Response:
    """The cookies, and back to the authorization or the page."""
    note(user_id=user_id, signed_in=True, link=brought(req))
    follow(world, req, now)
    response = see_other(after(req))
    sessions.set_cookie(response, world, entered.session)
    set_device(response, world, entered.device)
    return response


def follow(world: World, req: str | None, now: datetime) -> None:
    """Says in the trace which authorization this step belongs to, and speaks the language that it asked for."""
    if is_pending(req):
        with suppress(InvalidRequest):
            opened(req, world, now)


def _to_second_step(request: Request, world: World, taken: half.Half, req: str | None) -> Response:
    secret = sessions.cookie(request, world)
    fresh = secret or sessions.new_cookie()
    query = {"half": half.sealed(taken, world, fresh), **({"req": req} if req else {})}
    note(next="second step")
    follow(world, req, taken.at)
    response = see_other(f"/login/second?{urlencode(query)}")
    if secret is None:
        sessions.set_cookie(response, world, fresh)
    return response

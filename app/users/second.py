"""GET and POST /login/second: a code of the phone, or a recovery code, after the first step (RFC 6238, NIST SP 800-63B-4 §2.2)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import N_, _
from app.limits import SECOND_STEP, SECOND_STEP_ACCOUNT, SECOND_STEP_ADDRESS, forgive, hit
from app.protocol.errors import TooManyRequests
from app.protocol.params import Params, parse
from app.tokens.secrets import Unsealable
from app.traces.recording import note
from app.users import half
from app.users.login import too_many
from app.users.notices import notify
from app.users.sign_in import enter, follow, welcome
from app.users.store import hold
from app.users.totp import codes, recovery, store
from app.web import sessions
from app.web.flow import step
from app.web.http import client_address, form
from app.web.pages import error_page, render
from app.world import World

WRONG = N_("That code is not right. Codes change every half minute: type the one that is shown now.")
WRONG_RECOVERY = N_("That is not one of your recovery codes, or it was used already.")
USED = N_("That code was used already. Wait for the next one.")


async def show_second(request: Request, world: World) -> Response:
    params = parse(request.scope["query_string"])
    text, secret, now = params.get("half") or "", sessions.cookie(request, world), world.now()
    follow(world, params.get("req"), now)
    if secret is None or half.opened(text, world, secret, now) is None:
        return _over(params.get("req"))
    return _page(request, world, params, secret)


async def second(request: Request, world: World) -> Response:
    """In, by a code that is good once."""
    fields, now = await form(request, world), world.now()
    secret = sessions.check_form(request, world, fields)
    follow(world, fields.get("req"), now)
    taken = half.opened(fields.get("half") or "", world, secret, now)
    if taken is None or not await _counts(world, taken):
        return _over(fields.get("req"))
    address = client_address(request, world.settings.trusted_proxies)
    by_recovery = bool(fields.get("recovery"))
    try:
        await _count(world, taken.user_id, address, now, guessable=not by_recovery)
    except TooManyRequests as refusal:
        note(error=refusal.error, description=refusal.description)
        page = _page(request, world, fields, secret, too_many(refusal), 429)
        page.headers.update(refusal.headers)
        return page
    typed = Typed(taken.user_id, address, (fields.get("recovery") if by_recovery else fields.get("code")) or "", now)
    async with world.db.begin() as db:
        await hold(db, taken.user_id)
        sealed = await store.sealed_key(db, taken.user_id, taken.password_since)
        if sealed is None:  # since a moment ago
            return _over(fields.get("req"))
        wrong = await (_recover(db, typed) if by_recovery else _prove(db, world, typed, sealed))
        if wrong is None:
            method = f"{taken.method}+{'recovery' if by_recovery else 'totp'}"
            trust = bool(fields.get("remember"))
            entered = await enter(db, request, world, taken.user_id, method, now, trust_device=trust)
    if wrong is not None:
        note(error="wrong_code", description=wrong)
        return _page(request, world, fields, secret, _(wrong), 400)
    if by_recovery:
        notify(world, taken.user_id, "recovery_code.used")
    await forgive(world.pool, (SECOND_STEP, f"{taken.user_id}:{address}"), (SECOND_STEP_ACCOUNT, taken.user_id))
    return welcome(world, entered, taken.user_id, fields.get("req"), now)


async def _counts(world: World, taken: half.Half) -> bool:
    """Whether the first step is good still."""
    async with world.db.connect() as db:
        return await store.sealed_key(db, taken.user_id, taken.password_since) is not None


async def _count(world: World, user_id: str, address: str, now: datetime, *, guessable: bool) -> None:
    """Six digits can be guessed by many at once, so the account counts too; recovery codes cannot. Raises TooManyRequests."""
    await hit(world.pool, SECOND_STEP_ADDRESS, address, now)
    await hit(world.pool, SECOND_STEP, f"{user_id}:{address}", now)
    if guessable:
        await hit(world.pool, SECOND_STEP_ACCOUNT, user_id, now)


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody typed, who they say they are, and from where."""

    user_id: str
    address: str
    text: str
    now: datetime


async def _prove(db: AsyncConnection, world: World, typed: Typed, sealed: bytes) -> str | None:
    """What is wrong with the code, or None, and it is used."""
    context, found = typed.user_id.encode(), None
    with suppress(Unsealable):  # under a secret key that is gone: then recovery codes are what is left
        key = world.secrets.totp.open(sealed, context)
        found = codes.matching_step(key.decode(), typed.text, typed.now)
        sealed = world.secrets.totp.seal(key, context)
    if found is not None and await store.use_step(db, typed.user_id, found, sealed):
        return None
    await _refused(db, typed, reused=found is not None)
    return WRONG if found is None else USED


async def _recover(db: AsyncConnection, typed: Typed) -> str | None:
    """As `_prove`, for a recovery code."""
    user_id, code = typed.user_id, recovery.normal(typed.text)
    if code is not None and await store.use_recovery_code(db, user_id, recovery.key(user_id, code), typed.now):
        left = await store.recovery_codes_left(db, user_id)
        await audit.record(db, "recovery_code.used", typed.now, user_id=user_id, address=typed.address, left=left)
        return None
    await _refused(db, typed, recovery=True)
    return WRONG_RECOVERY


async def _refused(db: AsyncConnection, typed: Typed, **detail: Any) -> None:
    await audit.record(db, "second_step.refused", typed.now, user_id=typed.user_id, address=typed.address, **detail)


def _page(
    request: Request, world: World, params: Params, secret: str, error: str | None = None, status: int = 200
) -> Response:
    return render(
        "second.html",
        status=status,
        csrf=sessions.form_token(secret, world),
        half=params.get("half") or "",
        req=params.get("req") or "",
        recovering=bool(params.get("recovery")),
        remember=bool(params.get("remember")),
        error=error,
    )


def _over(req: str | None) -> Response:
    """Too old, another browser's, or the password changed meanwhile."""
    note(error="second_step_over", description="the second step took too long")
    return error_page(
        _("Between the two steps of your sign-in too much time went by, or it began in another browser."),
        heading=_("Please sign in again"),
        link=step("/login", req) if req else "/login",
        link_text=_("Sign in"),
    )

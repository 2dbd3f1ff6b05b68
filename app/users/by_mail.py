"""GET and POST /password/forgot and /login/link: links that go by mail; the answer is the same whoever asks (OWASP forgot password)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import N_, _, ngettext, spoken
from app.limits import MAIL_ACCOUNT, MAIL_ADDRESS, hit
from app.mail import Letter
from app.protocol.email import normal_email
from app.protocol.errors import TooManyRequests
from app.protocol.params import parse
from app.tokens.secrets import fingerprint
from app.traces.recording import note
from app.users import accounts, letters, store
from app.users.carried import kept
from app.users.link_page import page
from app.web import sessions
from app.web.flow import step
from app.web.http import client_address, form, see_other
from app.web.pages import error_page
from app.world import World

NO_ADDRESS = N_("That does not look like an e-mail address.")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a letter, where from, and in the middle of what."""

    email: str
    req: str | None
    browser: bytes
    language: str
    address: str


Write = Callable[[World, Asked], Awaitable[Letter | None]]


async def show_forgot(request: Request, world: World) -> Response:
    return _show(request, world, "forgot.html")


async def forgot(request: Request, world: World) -> Response:
    """A link to choose a new password, to whoever has an account."""
    if not world.settings.can_mail:
        return _show(request, world, "forgot.html")
    return await ask(request, world, "/password/forgot", "forgot.html", _reset)


async def show_link(request: Request, world: World) -> Response:
    return _show(request, world, "link.html") if world.settings.can_mail else no_mail()


async def send_link(request: Request, world: World) -> Response:
    """A link to sign in with, to whoever has an account."""
    if not world.settings.can_mail:
        return no_mail()
    return await ask(request, world, "/login/link", "link.html", _sign_in)


def no_mail() -> Response:
    return error_page(
        _("This server sends no mail."),
        status=404,
        heading=_("There is nothing here"),
        link="/login",
        link_text=_("Sign in"),
    )


async def ask(request: Request, world: World, path: str, template: str, write: Write) -> Response:
    """Reads the address, counts, and has the letter written beside the answer. Nothing of the answer depends on who has an
    account: not its words, its status, nor the time it takes."""
    fields, now = await form(request, world), world.now()
    secret = sessions.check_form(request, world, fields)
    typed, req = fields.get("email") or "", kept(fields.get("req"), world, now)
    email = normal_email(typed)
    if email is None:
        return _again(request, world, template, typed[:254], req, _(NO_ADDRESS))
    address = client_address(request, world.settings.trusted_proxies)
    try:
        await hit(world.pool, MAIL_ADDRESS, address, now)
        await hit(world.pool, MAIL_ACCOUNT, fingerprint(email).hex(), now)
    except TooManyRequests as refusal:
        note(error=refusal.error, description=refusal.description)
        answer = _again(request, world, template, email, req, too_many(refusal), 429)
        answer.headers.update(refusal.headers)
        return answer
    asked = Asked(email, req, fingerprint(secret), spoken.get(), address)
    world.post.soon(lambda: write(world, asked))
    there = f"{path}?sent=1"
    return see_other(f"{there}&{step('', req)[1:]}" if req else there)


def _again(
    request: Request, world: World, template: str, email: str, req: str | None, fault: str, status: int = 400
) -> Response:
    """The form once more, with what was typed."""
    said: dict[str, Any] = {"req": req or "", "email": email, "sent": False, "can_mail": True}
    return page(request, world, template, status=status, faults={"email": fault}, **said)


def too_many(refusal: TooManyRequests) -> str:
    minutes = -(-(refusal.retry_after or 60) // 60)
    return ngettext(
        "Too many letters were asked for. Try again in %(num)s minute.",
        "Too many letters were asked for. Try again in %(num)s minutes.",
        minutes,
    ) % {"num": minutes}


def _show(request: Request, world: World, template: str) -> Response:
    params = parse(request.scope["query_string"])
    return page(
        request,
        world,
        template,
        req=params.get("req") or "",
        email="",
        sent=bool(params.get("sent")),
        can_mail=world.settings.can_mail,
    )


async def _reset(world: World, asked: Asked) -> Letter | None:
    found = await _mailed(world, asked, "password")
    if found is None:
        return None
    user, code = found
    return letters.reset(user, f"{world.settings.issuer}/password?code={code}", asked.language)


async def _sign_in(world: World, asked: Asked) -> Letter | None:
    found = await _mailed(world, asked, "login")
    if found is None:
        return None
    user, code = found
    return letters.sign_in(user, f"{world.settings.issuer}/login/link/open?code={code}", asked.language)


async def _mailed(world: World, asked: Asked, purpose: str) -> tuple[store.User, str] | None:
    """Whom the link is for, and its code; None when nobody has this address, or may not sign in."""
    now = world.now()
    async with world.db.begin() as db:
        user = await store.by_email(db, asked.email)
        if user is None or user.disabled_at is not None:
            return None
        link = store.Link(purpose, user.id, user.email, asked.req, asked.browser)
        code = await accounts.mailed_link(db, link, now)
        await audit.record(db, "link.mailed", now, user_id=user.id, address=asked.address, purpose=purpose)
        return user, code

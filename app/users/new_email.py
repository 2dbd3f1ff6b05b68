"""GET and POST /account/email and /account/email/verify: another address, once a link that went there is opened (NIST SP 800-63B-4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import _, spoken
from app.limits import MAIL_ACCOUNT, MAIL_ADDRESS, hit
from app.mail import Letter
from app.protocol.email import normal_email
from app.protocol.errors import TooManyRequests
from app.protocol.params import Params, parse
from app.protocol.types import Viewer
from app.tokens.secrets import fingerprint
from app.traces.recording import note
from app.users import accounts, letters, store
from app.users.by_mail import NO_ADDRESS, Asked, too_many
from app.users.link_page import code_in, gone, page, sent
from app.users.notices import say_goodbye
from app.web import sessions
from app.web.flow import at_page, step
from app.web.http import client_address, form, see_other
from app.web.pages import error_page
from app.world import World

PATH, VERIFY = "/account/email", "/account/email/verify"


async def show_email(request: Request, world: World) -> Response:
    viewer = await _recent(request, world)
    if viewer is None:
        return see_other(step("/login", at_page(PATH)))
    params = parse(request.scope["query_string"])
    return _page(request, world, viewer, "", sent=bool(params.get("sent")), done=bool(params.get("done")))


async def ask_for_email(request: Request, world: World) -> Response:
    """A link to the new address. Whether it has an account is told to its owner alone."""
    fields, now = await form(request, world), world.now()
    sessions.check_form(request, world, fields)
    viewer = await _recent(request, world)
    if viewer is None:
        return see_other(step("/login", at_page(PATH)))
    if not world.settings.can_mail:
        return _page(request, world, viewer, "")
    typed = fields.get("email") or ""
    email, wrong = normal_email(typed), None
    if email is None:
        wrong = _(NO_ADDRESS)
    elif email == viewer.email:
        wrong = _("This is your address already.")
    if wrong or email is None:
        return _page(request, world, viewer, typed[:254], faults={"email": wrong})
    address = client_address(request, world.settings.trusted_proxies)
    try:
        await hit(world.pool, MAIL_ADDRESS, address, now)
        await hit(world.pool, MAIL_ACCOUNT, fingerprint(email).hex(), now)
    except TooManyRequests as refusal:
        note(error=refusal.error, description=refusal.description)
        answer = _page(request, world, viewer, email, status=429, faults={"email": too_many(refusal)})
        answer.headers.update(refusal.headers)
        return answer
    asked = Asked(email, None, b"", spoken.get(), address)
    world.post.soon(lambda: _write(world, viewer.user_id, asked))
    return see_other(f"{PATH}?sent=1")


async def show_verify(request: Request, world: World) -> Response:
    """The new address with a button, for whoever asked for it and nobody else."""
    code, now = code_in(request), world.now()
    async with world.db.connect() as db:
        link = await store.link(db, fingerprint(code), "email", now)
    if link is None:
        return gone(world, ask=PATH)
    viewer = await sessions.viewer(request, world, now)
    if viewer is None or viewer.user_id != link.user_id:
        return _elsewhere()
    return page(request, world, "verify.html", code=code, email=link.email, old=viewer.email)


async def verify(request: Request, world: World) -> Response:
    """The account has the new address from now on; the old one is told."""
    fields, now = await sent(request, world), world.now()
    viewer = await sessions.viewer(request, world, now)
    if viewer is None:
        return _elsewhere()
    done = await _change(world, viewer, fields, now)
    if done is None:
        return gone(world, ask=PATH)
    if not done:
        return _elsewhere()
    say_goodbye(world, viewer.user_id, viewer.email)
    return see_other(f"{PATH}?done=1")


async def _change(world: World, viewer: Viewer, fields: Params, now: datetime) -> bool | None:
    """None for a link that is over, or an address that has an account by now; False for somebody else's link, which stays."""
    key = fingerprint(fields.get("code") or "")
    async with world.db.begin() as db:
        link = await store.link(db, key, "email", now)
        if link is not None and link.user_id != viewer.user_id:
            return False
        used = await store.consume_link(db, key, "email", now)
        if used is None or used.user_id != viewer.user_id or used.email is None:
            return None
        changed = await accounts.change_email(db, viewer.user_id, used.email, now, is_verified=True)
        return True if changed else None


async def _recent(request: Request, world: World) -> Viewer | None:
    """Whoever has proven lately that they own the account."""
    viewer = await sessions.viewer(request, world, world.now())
    return viewer if viewer and sessions.is_recent(viewer, world.now()) else None


async def _write(world: World, user_id: str, asked: Asked) -> Letter | None:
    now = world.now()
    async with world.db.begin() as db:
        taken = await store.by_email(db, asked.email)
        if taken is not None:
            return letters.has_account(taken, world.settings, asked.language)
        code = await accounts.mailed_link(db, store.Link("email", user_id, asked.email), now)
        await audit.record(db, "link.mailed", now, user_id=user_id, address=asked.address, purpose="email")
    return letters.new_address(asked.email, f"{world.settings.issuer}{VERIFY}?code={code}", asked.language)


def _page(request: Request, world: World, viewer: Viewer, typed: str, **context: Any) -> Response:
    said: dict[str, Any] = {"sent": False, "done": False} | context
    can_mail = world.settings.can_mail
    return page(request, world, "account_email.html", old=viewer.email, email=typed, can_mail=can_mail, **said)


def _elsewhere() -> Response:
    return error_page(
        _("Sign in to the account that is to get this address, in this browser, and open the link again."),
        status=403,
        heading=_("This link belongs to an account"),
        link="/login",
        link_text=_("Sign in"),
    )

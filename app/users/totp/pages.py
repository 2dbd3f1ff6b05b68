"""GET and POST /account/security/totp, /totp/remove and /recovery: the second step switched on and off, and new recovery codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import _
from app.tokens.secrets import Unsealable, b64, unb64
from app.users import factors
from app.users.notices import notify
from app.users.store import hold
from app.users.totp import codes, recovery, store
from app.users.visits import Visit, sent, visit
from app.web.http import see_other
from app.web.pages import error_page, render
from app.world import World

SECURITY, HERE = "/account/security", "/account/security/totp"
SET_UP_WITHIN = timedelta(minutes=30)


async def show(request: Request, world: World) -> Response:
    """A new key to be put into an app: a picture, and in letters. Nothing is stored before a code proves that it is there."""
    visitor = await visit(request, world, HERE, recent=True)
    return visitor if isinstance(visitor, Response) else _page(world, visitor, codes.new_key(), visitor.now)


async def turn_on(request: Request, world: World) -> Response:
    """The first code of the app; then the recovery codes, this once."""
    arrived = await sent(request, world, HERE, recent=False)  # the sealed key says that the sign-in was recent
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    opened = _opened(world, visitor, fields.get("key") or "")
    if opened is None:
        return _gone()
    key, began = opened
    user_id, now = visitor.viewer.user_id, visitor.now
    step = codes.matching_step(key, fields.get("code") or "", now)
    if step is None:
        wrong = _(
            "That code does not match this key. Check that your phone's clock is right, and type the code shown now."
        )
        return _page(world, visitor, key, began, wrong)
    fresh = recovery.new_codes()
    sealed = world.secrets.totp.seal(key.encode(), user_id.encode())
    async with world.db.begin() as db:
        await hold(db, user_id)
        await store.turn_on(db, user_id, sealed, step, now)
        await store.replace_recovery_codes(db, user_id, recovery.keys(user_id, fresh), now)
        await factors.changed(db, visitor.viewer, "totp.added", visitor.address, now)
    notify(world, user_id, "totp.added")
    return _shown(world, visitor, fresh, is_new=True)


async def turn_off(request: Request, world: World) -> Response:
    arrived = await sent(request, world, SECURITY, recent=True)
    if isinstance(arrived, Response):
        return arrived
    visitor, _fields = arrived
    async with world.db.begin() as db:
        await hold(db, visitor.viewer.user_id)
        was_on = await store.turn_off(db, visitor.viewer.user_id)
        if was_on:
            await factors.changed(db, visitor.viewer, "totp.removed", visitor.address, visitor.now)
    if was_on:
        notify(world, visitor.viewer.user_id, "totp.removed")
    return see_other(f"{SECURITY}#second")


async def new_recovery_codes(request: Request, world: World) -> Response:
    """Ten new ones, shown this once; the old ones are worth nothing from now on."""
    arrived = await sent(request, world, SECURITY, recent=True)
    if isinstance(arrived, Response):
        return arrived
    visitor, _fields = arrived
    user_id, fresh = visitor.viewer.user_id, recovery.new_codes()
    if not await store.is_on(world.pool, user_id):
        return see_other(f"{SECURITY}#second")
    async with world.db.begin() as db:
        await store.replace_recovery_codes(db, user_id, recovery.keys(user_id, fresh), visitor.now)
        await audit.record(db, "recovery_codes.made", visitor.now, user_id=user_id, address=visitor.address)
    notify(world, user_id, "recovery_codes.made")
    return _shown(world, visitor, fresh, is_new=False)


def _page(world: World, visitor: Visit, key: str, began: datetime, error: str | None = None) -> Response:
    host = urlsplit(world.settings.public_url).hostname or ""
    text = codes.uri(key, visitor.viewer.email, host)
    packed = f"{began.isoformat()} {key}".encode()
    return render(
        "totp.html",
        status=400 if error else 200,
        csrf=visitor.csrf,
        account=visitor.viewer.email,
        picture=codes.picture(text),
        uri=text,
        key=codes.spaced(key),
        sealed=b64(world.secrets.totp.seal(packed, _context(visitor))),
        error=error,
    )


def _shown(world: World, visitor: Visit, fresh: list[str], *, is_new: bool) -> Response:
    account, issuer = visitor.viewer.email, world.settings.issuer
    return render("recovery_codes.html", account=account, issuer=issuer, codes=fresh, is_new=is_new)


def _opened(world: World, visitor: Visit, sealed: str) -> tuple[str, datetime] | None:
    """The key that this very session was shown not long ago, and when."""
    try:
        began, key = world.secrets.totp.open(unb64(sealed), _context(visitor)).decode().split(" ")
    except (Unsealable, ValueError):
        return None
    shown_at = datetime.fromisoformat(began)
    return (key, shown_at) if visitor.now - shown_at < SET_UP_WITHIN else None


def _context(visitor: Visit) -> bytes:
    return f"set-up\0{visitor.viewer.user_id}\0{visitor.viewer.session_id}".encode()


def _gone() -> Response:
    return error_page(
        _("This page was open for too long, so its key was thrown away. Nothing has changed."),
        heading=_("Please start again"),
        link=HERE,
        link_text=_("Set up codes"),
    )

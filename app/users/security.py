"""GET /account/security and the forms on it: the password, and the devices that are remembered (NIST SP 800-63B-4 §4.1.4)."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.language.catalogs import _
from app.language.devices import device as in_words
from app.language.when import ago, day
from app.limits import OWN_PASSWORD, forgive, hit
from app.protocol.errors import TooManyRequests
from app.traces.recording import note
from app.users import factors, passwords, store
from app.users.devices import store as devices
from app.users.devices.cookie import device
from app.users.link_page import about
from app.users.login import too_many
from app.users.notices import notify
from app.users.passkeys import options
from app.users.passkeys import store as passkeys
from app.users.totp import store as totp
from app.users.visits import Visit, sent, visit
from app.web.http import see_other
from app.web.pages import render
from app.world import World

HERE = "/account/security"


async def show(request: Request, world: World) -> Response:
    visitor = await visit(request, world, HERE)
    return visitor if isinstance(visitor, Response) else await _page(request, world, visitor)


async def change_password(request: Request, world: World) -> Response:
    """The current one is asked; who has none signs in another way just before."""
    arrived = await sent(request, world, HERE, recent=False)
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    user_id, now = visitor.viewer.user_id, visitor.now
    current, new = fields.verbatim("current") or "", fields.verbatim("password") or ""
    async with world.db.connect() as db:
        had = await store.password_of(db, user_id)
    if had is None and not visitor.is_recent:
        return await _sign_in_first(request, world)
    try:
        await hit(world.pool, OWN_PASSWORD, user_id, now)
    except TooManyRequests as refusal:
        note(error=refusal.error, description=refusal.description)
        page = await _page(request, world, visitor, {"current": too_many(refusal)}, status=429)
        page.headers.update(refusal.headers)
        return page
    if had is not None and not await passwords.matches(had[0], current, world.hashing):
        async with world.db.begin() as db:
            await audit.record(db, "password.change_refused", now, user_id=user_id, address=visitor.address)
        return await _page(request, world, visitor, {"current": _("That is not your current password.")})
    judged = await passwords.judged(new, about(world, visitor.viewer.email, visitor.viewer.name), world.hashing)
    if judged.fault:
        return await _page(request, world, visitor, {"password": judged.fault}, judged)
    hashed = await passwords.hashed(new, world.hashing)
    if not await _set(world, visitor, had, hashed):
        return await _page(request, world, visitor, {"current": _("That is not your current password.")})
    await forgive(world.pool, (OWN_PASSWORD, user_id))
    notify(world, user_id, "password.changed")
    return see_other(f"{HERE}?changed=password#password-heading")


async def _set(world: World, visitor: Visit, had: tuple[str, datetime] | None, hashed: str) -> bool:
    """In place of the one that was compared; False when it is another one meanwhile."""
    user_id, now = visitor.viewer.user_id, visitor.now
    async with world.db.begin() as db:
        await store.hold(db, user_id)
        has = await store.password_of(db, user_id)
        if (has and has[1]) != (had and had[1]):
            return False
        await store.set_password(db, user_id, hashed, now)
        await store.end_links(db, user_id)
        await factors.changed(db, visitor.viewer, "password.changed", visitor.address, now)
    return True


async def forget_devices(request: Request, world: World) -> Response:
    """One of them, or all: there the second step is asked again."""
    arrived = await sent(request, world, HERE, recent=False)
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    user_id = visitor.viewer.user_id
    async with world.db.begin() as db:
        count = await devices.forget(db, user_id, fields.get("id"))
        if count:
            await audit.record(
                db, "remembered_device.forgotten", visitor.now, user_id=user_id, address=visitor.address, devices=count
            )
    return see_other(f"{HERE}#devices")


async def _sign_in_first(request: Request, world: World) -> Response:
    asked = await visit(request, world, HERE, recent=True)
    assert isinstance(asked, Response)
    return asked


async def _page(
    request: Request,
    world: World,
    visitor: Visit,
    faults: dict[str, str] | None = None,
    judged: passwords.Judged | None = None,
    status: int = 400,
) -> Response:
    """`faults` say what is wrong with which field, `judged` what was said of the new password."""
    user_id, now = visitor.viewer.user_id, visitor.now
    async with world.db.connect() as db:
        had = await store.password_of(db, user_id)
        since = await totp.on_since(db, user_id)
        left = await totp.recovery_codes_left(db, user_id) if since else 0
        owned = await passkeys.passkeys_of(db, user_id)
        trusted = await devices.trusted(db, user_id, device(request, world), now)
    return render(
        "security.html",
        status=status if faults else 200,
        csrf=visitor.csrf,
        viewer=visitor.viewer,
        account=visitor.viewer.email,
        faults=faults or {},
        error=next(iter(faults.values())) if faults else None,
        judged=judged,
        password_since=day(had[1]) if had else None,
        changed="changed=password" in request.url.query,
        totp_since=day(since) if since else None,
        recovery_left=left,
        has_passkeys=options.relying_party(world.settings) is not None,
        passkeys=[_shown_passkey(one, now) for one in owned],
        devices=[_shown_device(one, now) for one in trusted],
    )


def _shown_passkey(passkey: passkeys.Passkey, now: datetime) -> dict[str, object]:
    return {
        "id": passkey.id,
        "name": passkey.name,
        "backed_up": passkey.backed_up,
        "made": day(passkey.created_at),
        "used": ago(passkey.last_used_at, now) if passkey.last_used_at else None,
    }


def _shown_device(one: devices.Device, now: datetime) -> dict[str, object]:
    return {
        "id": one.id,
        "words": in_words(one.user_agent),
        "is_this": one.is_this,
        "used": ago(one.last_used_at, now),
        "until": day(one.trusted_until),
    }

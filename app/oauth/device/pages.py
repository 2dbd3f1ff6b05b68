"""GET and POST /device, POST /device/decision: a person types a device's code, sees what it asks for, and decides (RFC 8628 §3.3)."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.clients import lifetimes
from app.clients import store as clients
from app.language.catalogs import N_, _, ngettext
from app.language.when import lasting
from app.limits import DEVICE_ACCOUNT, DEVICE_ADDRESS, hit
from app.oauth.device import store
from app.protocol.errors import InvalidRequest, TooManyRequests
from app.protocol.next_step import may_give
from app.protocol.params import parse
from app.protocol.scope import ADMIN, IDENTITY
from app.protocol.types import Viewer
from app.protocol.user_code import normal, shown
from app.tokens.secrets import Unsealable, b64, unb64
from app.traces.recording import note
from app.web import sessions
from app.web.flow import at_device, step
from app.web.http import client_address, form, see_other
from app.web.pages import error_page, render
from app.world import World

ENTERED = b"device"  # what is sealed here opens nowhere else
UNKNOWN = N_(
    "No device waits for this code. Look at it again, or start anew on the device: a code works for ten minutes."
)
GONE = N_("This device has had its answer already, or its code is too old.")


async def show(request: Request, world: World) -> Response:
    """The page for the code. A code in the address is filled in, and sent only when its reader presses the button (§3.3.1)."""
    typed = parse(request.scope["query_string"]).get("user_code") or ""
    note(link=normal(typed))
    viewer = await sessions.viewer(request, world, world.now())
    return _page(request, world, viewer, typed) if viewer else see_other(step("/login", at_device(typed)))


async def enter(request: Request, world: World) -> Response:
    """What the device asks for, to be allowed or denied. Guesses are counted per account and per address, the right ones
    too: else codes of one's own would buy more (§5.1)."""
    now = world.now()
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    typed = fields.get("user_code") or ""
    note(link=normal(typed))
    viewer = await sessions.viewer(request, world, now)
    if viewer is None:
        return see_other(step("/login", at_device(typed)))
    try:
        await hit(world.pool, DEVICE_ADDRESS, client_address(request, world.settings.trusted_proxies), now)
        await hit(world.pool, DEVICE_ACCOUNT, viewer.user_id, now)
    except TooManyRequests as refusal:
        minutes = -(-(refusal.retry_after or 60) // 60)
        note(error=refusal.error, description=refusal.description)
        again = ngettext(
            "Too many codes. Try again in {n} minute.", "Too many codes. Try again in {n} minutes.", minutes
        ).format(n=minutes)
        page = _page(request, world, viewer, typed, again, 429)
        page.headers.update(refusal.headers)
        return page
    return await _ask(request, world, viewer, typed, now)


async def decide(request: Request, world: World) -> Response:
    """Allow or Deny, once. Nothing is remembered: the next device asks anew."""
    now = world.now()
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    viewer = await sessions.viewer(request, world, now)
    key = _opened(fields.get("entered"), world)
    decision = fields.required("decision")
    note(link=key.hex(), decision=decision[:20])
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    if viewer is None:
        return see_other(step("/login", at_device("")))
    allowed = decision == "allow"
    async with world.db.begin() as db:
        waiting = await store.waiting_at(db, key) if allowed else None
        if waiting is not None and not may_give(waiting[1], viewer, now):
            return see_other(step("/login", at_device(waiting[0])))
        decided = await store.decide_device(db, key, viewer, now, allowed=allowed)
        if decided is not None:
            event = "device.allowed" if allowed else "device.refused"
            scope = " ".join(decided.scope)
            await audit.record(db, event, now, user_id=viewer.user_id, client_id=decided.client_id, scope=scope)
    if decided is None:
        note(error="expired_token", description=GONE)
        heading, again = _("There is nothing to decide"), _("Enter another code")
        return error_page(_(GONE), heading=heading, link="/device", link_text=again)
    note(client_id=decided.client_id)
    return render("device_done.html", allowed=allowed)


async def _ask(request: Request, world: World, viewer: Viewer, typed: str, now: datetime) -> Response:
    code = normal(typed)
    found = None
    if code is not None:
        async with world.db.connect() as db:
            found = await store.waiting_device(db, code, now)
    client = await clients.client(world.pool, found[1].client_id) if found else None
    if code is None or found is None or client is None or client.blocked:
        note(error="unknown_code", description=UNKNOWN)
        return _page(request, world, viewer, typed, _(UNKNOWN), 400)
    key, asked = found
    if not may_give(asked.scope, viewer, now):
        return see_other(step("/login", at_device(code)))
    note(link=key.hex(), client_id=asked.client_id, client_name=client.client_name, entered=True)
    resource = world.resources.at(asked.resource)
    scopes = {**IDENTITY, **(resource.scopes if resource else {})}
    return render(
        "device_consent.html",
        csrf=_csrf(request, world),
        entered=b64(world.secrets.pending.seal(key, ENTERED)),
        req=at_device(code),
        user_code=shown(code),
        client_name=client.client_name,
        scopes=[scopes[name] for name in asked.scope if name in scopes and (viewer.is_admin or name != ADMIN)],
        resource=asked.resource,
        title=resource.title if resource and len(world.resources) > 1 else None,
        lasts=lasting(lifetimes.absolute(client, world.settings)),
        account=viewer.email,
    )


def _page(
    request: Request, world: World, viewer: Viewer, typed: str, error: str | None = None, status: int = 200
) -> Response:
    code = normal(typed)
    return render(
        "device.html",
        status=status,
        csrf=_csrf(request, world),
        req=at_device(typed),
        user_code=shown(code) if code else typed[:20],
        error=error,
        account=viewer.email,
    )


def _csrf(request: Request, world: World) -> str:
    secret = sessions.cookie(request, world)
    if secret is None:
        raise InvalidRequest("the session has ended")
    return sessions.form_token(secret, world)


def _opened(entered: str | None, world: World) -> bytes:
    """The key of the device's row, which only who entered its code has."""
    try:
        return world.secrets.pending.open(unb64(entered or ""), ENTERED)
    except (Unsealable, ValueError) as fault:
        raise InvalidRequest("this form is not ours; enter the code again") from fault

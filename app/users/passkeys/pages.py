"""GET and POST /account/security/passkeys, and /passkeys/remove: a new passkey, named, and one less (WebAuthn §7.1)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.language.catalogs import N_, _
from app.protocol.errors import NotFound
from app.tokens.secrets import new_id
from app.users import factors
from app.users.notices import notify
from app.users.passkeys import ceremony, challenge, options, store
from app.users.passkeys.ceremony import NotProven
from app.users.passkeys.makers import MAKERS
from app.users.visits import Visit, sent, visit
from app.web.http import see_other
from app.web.pages import render
from app.world import World

SECURITY, HERE = "/account/security", "/account/security/passkeys"
LONGEST_NAME = 60
TOO_OLD = N_("This page was open for too long, or was used already. Try again.")
NOT_ADDED = N_("This passkey was not added, since it is here already.")
ENOUGH = N_("You have 20 passkeys, which is the most. Remove one first.")


async def show(request: Request, world: World) -> Response:
    visitor = await visit(request, world, HERE, recent=True)
    return visitor if isinstance(visitor, Response) else await _page(world, visitor)


async def register(request: Request, world: World) -> Response:
    """What the authenticator made, kept under a name."""
    arrived = await sent(request, world, HERE, recent=False)  # the challenge says that the sign-in was recent
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    viewer, now, typed = visitor.viewer, visitor.now, fields.get("name") or ""
    try:
        answer = ceremony.parsed(fields.get("credential") or "")
        text = fields.get("challenge") or ""
        expected = await challenge.used(world, text, "register", visitor.secret, options.whose(viewer), now)
        if expected is None:
            raise NotProven(TOO_OLD, "challenge too old or used")
        made = await ceremony.made(answer, expected, world.settings)
    except NotProven as refusal:
        return await _page(world, visitor, typed, _(refusal.sentence))
    passkey = store.Passkey(
        made.credential_id,
        new_id("pk"),
        viewer.user_id,
        "".join(c for c in typed if c.isprintable()).strip()[:LONGEST_NAME] or MAKERS.get(made.maker) or _("Passkey"),
        made.public_key,
        made.sign_count,
        made.transports,
        made.backed_up,
        now,
    )
    async with world.db.begin() as db:
        added = await store.add(db, passkey)
        if added:
            await factors.changed(db, viewer, "passkey.added", visitor.address, now, passkey=passkey.name)
    if not added:
        return await _page(world, visitor, typed, _(NOT_ADDED))
    notify(world, viewer.user_id, "passkey.added")
    return see_other(f"{SECURITY}#passkeys")


async def remove(request: Request, world: World) -> Response:
    arrived = await sent(request, world, SECURITY, recent=True)
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    async with world.db.begin() as db:
        name = await store.remove(db, visitor.viewer.user_id, fields.required("id"))
        if name is not None:
            await factors.changed(db, visitor.viewer, "passkey.removed", visitor.address, visitor.now, passkey=name)
    if name is not None:
        notify(world, visitor.viewer.user_id, "passkey.removed")
    return see_other(f"{SECURITY}#passkeys")


async def _page(world: World, visitor: Visit, name: str = "", error: str | None = None) -> Response:
    """With a fresh challenge, for which the sign-in has to be recent."""
    if options.relying_party(world.settings) is None:
        raise NotFound("passkeys need a server with a name, not a bare address")
    asked = await options.to_register(world, visitor.secret, visitor.viewer, visitor.now) if visitor.is_recent else None
    if asked is None and visitor.is_recent:
        error = _(ENOUGH)
    return render(
        "passkey.html",
        status=400 if error else 200,
        script=True,
        csrf=visitor.csrf,
        account=visitor.viewer.email,
        passkey=asked,
        name=name,
        longest_name=LONGEST_NAME,
        error=error,
    )

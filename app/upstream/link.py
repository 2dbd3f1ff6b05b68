"""GET and POST /account/link, and linking from the services page: two accounts belong together, or no longer (OIDC Core §5.7)."""

from __future__ import annotations

import json
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.identities import store as identities
from app.language.catalogs import _
from app.protocol.provider import Provider
from app.tokens.secrets import Unsealable, fingerprint
from app.upstream import flow, store
from app.upstream.arrive import CLAIM, PROVE
from app.upstream.depart import depart, known, way_of
from app.upstream.flow import LINK, Flow
from app.upstream.refused import HERE, Elsewhere, Taken
from app.upstream.who import Somebody
from app.users.notices import notify
from app.users.visits import sent, visit
from app.web import sessions
from app.web.flow import after
from app.web.http import see_other
from app.web.pages import error_page, render
from app.world import World


async def show_proof(request: Request, world: World) -> Response:
    """For whoever came from a service, and has signed in to the account that has their address."""
    visitor = await visit(request, world, PROVE, recent=True)
    if isinstance(visitor, Response):
        return visitor
    waiting = await _waiting(request, world, visitor.now)
    if waiting is None:
        return _over()
    provider = await known(world, waiting.person.provider, visitor.now)
    return render(
        "link_service.html",
        csrf=visitor.csrf,
        title=provider.title,
        shown=waiting.person.shown,
        account=visitor.viewer.email,
        fits=visitor.viewer.email == waiting.person.email,
    )


async def prove(request: Request, world: World) -> Response:
    """They belong together: both were proven, one by the service, one just now."""
    arrived = await sent(request, world, PROVE, recent=True)
    if isinstance(arrived, Response):
        return arrived
    visitor, _fields = arrived
    waiting = await _waiting(request, world, visitor.now)
    if waiting is None or visitor.viewer.email != waiting.person.email:
        return _over()
    person, user_id, now = waiting.person, visitor.viewer.user_id, visitor.now
    async with world.db.begin() as db:
        used = await store.use_claim(db, waiting.key, now)
        linked = used and await identities.link(
            db, person.issuer, person.subject, user_id, person.provider, person.shown, now
        )
        if linked:
            await audit.record(db, "identity.bound", now, user_id=user_id, issuer=person.issuer, subject=person.subject)
    if not linked:
        return _taken() if used else _over()
    notify(world, user_id, "identity.added")
    return see_other(after(waiting.req) if waiting.req else f"{HERE}?done=linked")


async def begin(request: Request, world: World) -> Response:
    """POST /account/services/link: somebody who is signed in goes to a service, to sign in with it from then on."""
    arrived = await sent(request, world, HERE, recent=True)
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    provider = await known(world, fields.required("provider"), visitor.now)
    scope = way_of(provider, LINK).scopes
    return await depart(request, world, provider, flow.new(provider.name, LINK, scope, user_id=visitor.viewer.user_id))


async def finish(
    request: Request, world: World, provider: Provider, begun: Flow, person: Somebody, now: datetime
) -> Response:
    """Both are proven: the account here by who is signed in, still the same, and the other by the service. So the e-mail
    address, which only ever finds an account, does not matter. Raises Elsewhere and Taken."""
    viewer = await sessions.viewer(request, world, now)
    if viewer is None or viewer.user_id != begun.user_id:
        raise Elsewhere("another account is signed in than the one that asked for it")
    async with world.db.begin() as db:
        linked = await identities.link(
            db, person.issuer, person.subject, viewer.user_id, provider.name, person.shown, now
        )
        if linked:
            await audit.record(
                db, "identity.bound", now, user_id=viewer.user_id, issuer=person.issuer, subject=person.subject
            )
    if not linked:
        raise Taken("the identity, or the user, has another counterpart")
    notify(world, viewer.user_id, "identity.added")
    return see_other(f"{HERE}?done=linked")


async def unlink(request: Request, world: World) -> Response:
    """POST /account/services/unlink: nobody signs in with it any more; the last way in stays."""
    arrived = await sent(request, world, HERE, recent=True)
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    user_id, issuer, subject = visitor.viewer.user_id, fields.required("issuer"), fields.required("subject")
    own_ways = world.settings.sign_in == "any"
    async with world.db.begin() as db:
        gone = await identities.unlink(db, user_id, issuer, subject, own_ways=own_ways)
        if gone:
            await audit.record(db, "identity.removed", visitor.now, user_id=user_id, issuer=issuer, subject=subject)
    if gone:
        notify(world, user_id, "identity.removed")
    return see_other(f"{HERE}?done={'unlinked' if gone else 'last-way'}")


class Waiting:
    """Somebody known elsewhere who has yet to prove who they are here."""

    def __init__(self, key: bytes, packed: bytes) -> None:
        found = json.loads(packed)
        self.key, self.req = key, found["req"]
        self.person = Somebody(**found["person"])


async def _waiting(request: Request, world: World, now: datetime) -> Waiting | None:
    secret = flow.browser(request, world)
    found = await store.waiting_claim(world.pool, fingerprint(secret), now) if secret else None
    if found is None:
        return None
    key, sealed = found
    try:
        return Waiting(key, world.secrets.upstream_flow.open(sealed, CLAIM.encode() + key))
    except Unsealable:
        return None


def _over() -> Response:
    return error_page(
        _("It was used already, more than a quarter of an hour has gone by, or you signed in to another account."),
        heading=_("There is nothing to link"),
        link="/login",
        link_text=_("Begin again"),
    )


def _taken() -> Response:
    return error_page(
        _("It belongs to somebody else here, or you have linked another account of the same service."),
        status=409,
        heading=_("This account is linked already"),
        link=HERE,
        link_text=_("Back to your services"),
    )

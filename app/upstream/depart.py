"""POST /login/provider, and every other way to a service: the flow is noted, the browser bound to it, and off it goes (RFC 6749 §4.1.1)."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.limits import UPSTREAM, hit
from app.protocol.errors import InvalidRequest, NotFound
from app.protocol.provider import Provider, Way
from app.traces.recording import note
from app.upstream import flow, talk
from app.upstream.faults import Away
from app.upstream.flow import SIGN_IN, Flow
from app.upstream.refused import refused
from app.web import sessions
from app.web.flow import is_pending, opened
from app.web.http import client_address, form, see_other
from app.world import World


async def sign_in_with(request: Request, world: World) -> Response:
    """The form on the sign-in page."""
    fields, now = await form(request, world), world.now()
    sessions.check_form(request, world, fields)
    provider = await known(world, fields.required("provider"), now)
    if provider.sign_in is None:
        raise NotFound("nobody signs in with this service here")
    req = fields.get("req")
    return await depart(request, world, provider, flow.new(provider.name, SIGN_IN, provider.sign_in.scopes, req=req))


async def known(world: World, name: str, now: datetime) -> Provider:
    """Raises NotFound."""
    provider = await world.providers.named(name, now)
    if provider is None:
        raise NotFound("this service is not configured here")
    return provider


def way_of(provider: Provider, purpose: str) -> Way:
    """Raises NotFound for what this provider is not for."""
    way = provider.connect if purpose == flow.CONNECT else provider.sign_in
    if way is None:
        raise NotFound("this service is not configured for that")
    return way


async def depart(
    request: Request, world: World, provider: Provider, leaving: Flow, *, browser: str | None = None
) -> Response:
    """303 to the service. Nothing is noted where it cannot be reached. `browser` is the secret of a flow cookie to be set."""
    now, way = world.now(), way_of(provider, leaving.purpose)
    await hit(world.pool, UPSTREAM, client_address(request, world.settings.trusted_proxies), now)
    try:
        at = await talk.places(world, provider, way, now)
    except Away as fault:
        return await refused(world, provider, leaving, fault, now)
    secret = flow.browser(request, world)
    fresh = secret or browser or flow.new_browser()
    state = await flow.begin(world, leaving, fresh, now)
    url = await talk.authorization_url(
        world,
        provider,
        way,
        at,
        state=state,
        verifier=leaving.verifier,
        nonce=leaving.nonce,
        scope=leaving.scope,
        login_hint=_hint(world, leaving.req, now),
    )
    note(next="sign-in elsewhere")
    response = see_other(url)
    response.headers["Location"] = url  # as Authlib has encoded it
    if secret is None:
        flow.set_cookie(response, world, fresh)
    return response


def _hint(world: World, req: str | None, now: datetime) -> str | None:
    """Whom the app expects, if it said so."""
    if is_pending(req):
        with suppress(InvalidRequest):
            return opened(req, world, now).login_hint
    return None

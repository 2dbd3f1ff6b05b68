"""GET /callback/{provider}: an answer is held against the question, redeemed, believed (RFC 6749 §4.1.2, RFC 9207, OIDC Core §3.1.3)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.limits import UPSTREAM, hit
from app.protocol.errors import InvalidRequest
from app.protocol.params import Params, parse
from app.protocol.provider import Provider
from app.upstream import arrive, connect, flow, link, talk
from app.upstream.depart import known, way_of
from app.upstream.faults import Refused, UpstreamFault
from app.upstream.flow import CONNECT, LINK, UNKNOWN, Flow
from app.upstream.refused import Denied, Mixed, Stray, refused
from app.upstream.talk import Places
from app.upstream.who import Somebody, somebody
from app.web.http import client_address
from app.world import World

LONGEST = 8192  # characters of a code


@dataclass(frozen=True, slots=True)
class Answered:
    """Who came back, and with what."""

    provider: Provider
    flow: Flow
    at: Places
    tokens: dict[str, Any]
    now: datetime


async def come_back(request: Request, world: World) -> Response:
    now = world.now()
    await hit(world.pool, UPSTREAM, client_address(request, world.settings.trusted_proxies), now)
    provider = await known(world, request.path_params["provider"], now)
    begun: Flow | None = None
    try:
        params = _params(request)
        begun = await _begun(request, world, params, now)
        if begun.provider != provider.name:
            raise Mixed(f"it was sent to {begun.provider}")
        answered = await _redeemed(world, provider, begun, params, now)
        if begun.purpose == CONNECT:
            return await connect.finish(request, world, provider, begun, answered.at, answered.tokens, now)
        person = await _believed(world, answered)
        finish = link.finish if begun.purpose == LINK else arrive.finish
        return await finish(request, world, provider, begun, person, now)
    except UpstreamFault as fault:
        return await refused(world, provider, begun, fault, now)


def _params(request: Request) -> Params:
    """Raises Mixed for what no authorization server sends."""
    try:
        params = parse(request.scope["query_string"])
        params.refuse_repeats()
        for name in params.names:
            params.get(name)
    except InvalidRequest as fault:
        raise Mixed(f"its answer is malformed: {fault.description}") from fault
    return params


async def _begun(request: Request, world: World, params: Params, now: datetime) -> Flow:
    state = params.get("state")
    if state is None or len(state) > 200:
        raise Stray(UNKNOWN)
    found = await flow.claim(world, state, flow.browser(request, world), now)
    if isinstance(found, str):
        raise Stray(found)
    return found


async def _redeemed(world: World, provider: Provider, begun: Flow, params: Params, now: datetime) -> Answered:
    way = way_of(provider, begun.purpose)
    at = await talk.places(world, provider, way, now)
    _check_issuer(params.get("iss"), at)
    error = params.get("error")
    if error == "access_denied":
        raise Denied("access_denied")
    if error is not None:
        raise Refused(error[:100], (params.get("error_description") or "")[:200])
    code = params.get("code")
    if code is None or len(code) > LONGEST:
        raise Mixed("its answer has no code")
    tokens = await talk.redeem(world, provider, way, at, code, begun.verifier)
    return Answered(provider, begun, at, tokens, now)


def _check_issuer(told: str | None, at: Places) -> None:
    """RFC 9207 §2.4: where it says that it names itself, it must; and whoever names somebody else is somebody else."""
    if at.sends_iss and told is None:
        raise Mixed("its answer does not name its issuer (iss)")
    is_fixed = at.issuer and "{" not in at.issuer
    if told is not None and is_fixed and not hmac.compare_digest(told.encode(), at.issuer.encode()):
        raise Mixed("its answer names another issuer (iss)")


async def _believed(world: World, answered: Answered) -> Somebody:
    tokens, nonce = answered.tokens, answered.flow.nonce
    return await somebody(world, answered.provider, answered.at, tokens, nonce, answered.now)

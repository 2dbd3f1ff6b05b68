"""POST /token: one proof in, tokens out (RFC 6749 §3.2, §5; OAuth 2.1 §3.2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import dpop
from app.clients import lifetimes
from app.clients.authenticate import authenticated_client
from app.http import client_address, form, no_store
from app.limits import BAD_KEY, hit
from app.oauth.grants import GRANTS
from app.oauth.grants.token_exchange import SCRIPT, is_script
from app.protocol.errors import InvalidRequest, UnauthorizedClient, UnknownApiKey, UnsupportedGrantType
from app.protocol.types import Authorization
from app.tokens.issue import issue
from app.traces.recording import note
from app.world import World


async def token(request: Request, world: World) -> Response:
    """Reads, authenticates the client, redeems by grant type, issues: the phases that every grant shares."""
    now = world.now()
    params = await form(request, world)
    params.refuse_repeats()
    grant_type = params.required("grant_type")
    note(grant_type=grant_type, resource=params.all("resource") or None)
    redeem = GRANTS.get(grant_type)
    if redeem is None:
        raise UnsupportedGrantType(f"grant_type must be one of {', '.join(GRANTS)}")
    client = SCRIPT if is_script(request, params) else await authenticated_client(request, params, world)
    if grant_type not in client.grant_types:
        raise UnauthorizedClient("this client did not register for this grant type")
    jkt = await dpop.key_of(request, world, now)
    if jkt is None and client.dpop_bound:
        raise InvalidRequest("this client registered for DPoP-bound tokens only; send a DPoP proof")
    try:
        authorization = replace(await redeem(world, client, params, jkt, now), jkt=jkt)
    except UnknownApiKey:
        await hit(world.pool, BAD_KEY, client_address(request, world.settings.trusted_proxies), now)
        raise
    if client is not SCRIPT:
        world.last_used.saw("clients", client.client_id, now)
    _note(world, authorization, grant_type, now)
    answer = issue(
        authorization,
        world.live.ring,
        world.secrets,
        world.settings.issuer,
        now=now,
        lifetime=lifetimes.access(client, world.settings),
    )
    response = no_store(answer)
    if jkt is not None and world.settings.dpop_nonces:
        response.headers["DPoP-Nonce"] = dpop.nonce(
            world, now
        )  # the next one, so that it is not asked for again (§8.2)
    return response


def _note(world: World, authorization: Authorization, grant_type: str, now: datetime) -> None:
    """In the trace every connection is refreshed once; that it goes on so is routine."""
    connection_id = authorization.connection_id
    routine = grant_type == "refresh_token" and not world.traces.is_news(f"refresh {connection_id}", now)
    note(
        user_id=authorization.subject,
        connection_id=connection_id,
        scope=list(authorization.scope),
        granted_resource=authorization.resource,
        keep=not routine,
    )

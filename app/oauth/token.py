"""POST /token: one proof in, tokens out (RFC 6749 §3.2, §5; OAuth 2.1 §3.2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.api_keys import exchange
from app.api_keys.refused import refused
from app.clients import lifetimes
from app.clients.authenticate import authenticated_client, confirmed
from app.limits import BAD_KEY, hit
from app.oauth.grants import Redeem, offered, payment
from app.oauth.grants.token_exchange import SCRIPT, is_script
from app.protocol.client_metadata import DEVICE_CODE, PROVEN
from app.protocol.errors import InvalidRequest, UnauthorizedClient, UnknownApiKey, UnsupportedGrantType
from app.protocol.params import Params
from app.protocol.types import Authorization, Client
from app.tokens.issue import issue
from app.traces.recording import note
from app.web import dpop
from app.web.http import client_address, form, no_store
from app.world import World

ONCE = frozenset({"authorization_code", DEVICE_CODE})  # grants that a person stands behind each time

RECORDED = frozenset({"authorization_code", "refresh_token", "device_code"})  # by the statement that redeems them
CONFIRMED = frozenset(
    {"authorization_code", "refresh_token", "client_credentials"}
)  # whose statement looks at the client's row too


async def token(request: Request, world: World) -> Response:
    """Reads, authenticates the client, redeems by grant type, issues: the phases that every grant shares."""
    now = world.now()
    params = await form(request, world)
    params.refuse_repeats()
    grant_type = params.required("grant_type")
    note(grant_type=grant_type, resource=params.all("resource") or None)
    grants = offered(world.settings)
    redeem = grants.get(grant_type)
    if redeem is None:
        raise UnsupportedGrantType(f"grant_type must be one of {', '.join(grants)}")
    client, authorization = await _redeemed(request, params, world, redeem, now)
    await _record(world, authorization, now)
    world.measures.count("gatehouse_tokens_total", authorization.via)
    if client is not SCRIPT and client is not payment.BUYER:
        world.last_used.saw("clients", client.client_id, now)
    _note(world, authorization, grant_type, now)
    return _answer(world, authorization, lifetimes.access(client, world.settings), now)


async def _redeemed(
    request: Request, params: Params, world: World, redeem: Redeem, now: datetime
) -> tuple[Client, Authorization]:
    """With the client as it is remembered, where the statement that redeems confirms it; else as it is now."""
    if redeem is payment.redeem:
        paid = payment.with_payment(request, params)
        return payment.BUYER, await _redeemed_for(payment.BUYER, request, paid, world, redeem, now)
    if is_script(request, params):
        return SCRIPT, await _redeemed_for(SCRIPT, request, params, world, redeem, now)

    async def act(client: Client) -> tuple[Client, Authorization]:
        return client, await _redeemed_for(client, request, params, world, redeem, now)

    if params.get("grant_type") in CONFIRMED and "dpop" not in request.headers:  # a proof is good for one look
        return await confirmed(request, params, world, act)
    return await act(await authenticated_client(request, params, world))


async def _redeemed_for(
    client: Client, request: Request, params: Params, world: World, redeem: Redeem, now: datetime
) -> Authorization:
    grant_type = params.required("grant_type")
    if grant_type not in client.grant_types or (grant_type in PROVEN and client.is_public):
        raise UnauthorizedClient("this client did not register for this grant type")
    jkt = await dpop.key_of(request, world, now)
    if jkt is None and client.dpop_bound:
        raise InvalidRequest("this client registered for DPoP-bound tokens only; send a DPoP proof")
    try:
        authorization = await redeem(world, client, params, jkt, now)
        return authorization if authorization.jkt == jkt else replace(authorization, jkt=jkt)
    except UnknownApiKey:
        await hit(world.pool, BAD_KEY, client_address(request, world.settings.trusted_proxies), now)
        await refused(world, params.get("subject_token") or "", now, guess=True)
        raise


def _answer(world: World, authorization: Authorization, lifetime: int, now: datetime) -> Response:
    """`lifetime` in seconds."""
    settings = world.settings
    answer = issue(authorization, world.live.ring, world.secrets, settings.issuer, now=now, lifetime=lifetime)
    response = no_store(answer)
    if authorization.jkt is not None and settings.dpop_nonces:  # the next one is known unasked (RFC 9449 §8.2)
        response.headers["DPoP-Nonce"] = dpop.nonce(world, now)
    return response


async def _record(world: World, authorization: Authorization, now: datetime) -> None:
    """In the audit log, for the grants that write nothing else, or not in one statement with it. That a program gets
    its next token is routine: it is recorded once in six hours and process, so that none can fill the log."""
    via, user_id, client_id = authorization.via, authorization.subject, authorization.client_id
    if via in RECORDED:
        return
    if via == "api_key":
        await exchange.record(world, authorization, now)
        return
    if via == "client_credentials" and not world.traces.is_news(f"issued {via} {client_id}", now):
        return
    scope = " ".join(authorization.scope)
    await audit.add(world.pool, "token.issued", now, user_id=user_id, client_id=client_id, grant=via, scope=scope)


def _note(world: World, authorization: Authorization, grant_type: str, now: datetime) -> None:
    """In the trace every connection is refreshed, every token exchanged, every program let in once; that it goes on so is routine."""
    connection_id = authorization.connection_id
    whose = f"{connection_id} {authorization.client_id} {authorization.subject}"
    routine = grant_type not in ONCE and not world.traces.is_news(f"{grant_type} {whose}", now)
    note(
        client_id=authorization.client_id,
        user_id=authorization.subject,
        connection_id=connection_id,
        scope=list(authorization.scope),
        granted_resource=authorization.resource,
        keep=not routine,
    )

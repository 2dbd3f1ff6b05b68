"""POST /auth/token: an API key for an access token (seed 001; claims as RFC 9068 and as the seed spells them)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app import asking, audit
from app.api_keys import store
from app.api_keys.refused import refused
from app.limits import BAD_KEY, hit
from app.protocol.errors import InvalidRequest
from app.protocol.types import Authorization
from app.tokens.issue import access_token
from app.traces.recording import note
from app.web.http import client_address, json_body, no_store
from app.world import World


async def exchange(request: Request, world: World) -> Response:
    """`{"token", "expiresIn"}`, for the default resource or that of `resource` (RFC 8707); or one 401 for whatever is wrong
    with the key: nobody learns that it existed once."""
    now = world.now()
    body = await json_body(request, world)
    api_key = body.get("apiKey") if isinstance(body, dict) else None
    resource = world.resources.resolve(_resource(body))
    found = await store.usable(world.pool, api_key, resource.audience, now) if isinstance(api_key, str) else None
    note(grant_type="api_key")
    scope = world.resources.held(resource, found.authorization.scope) if found else ()
    if found is None or not scope:
        note(error="invalid_api_key", description="the API key is unknown, expired or revoked")
        await hit(world.pool, BAD_KEY, client_address(request, world.settings.trusted_proxies), now)
        await refused(world, api_key if isinstance(api_key, str) else "", now, guess=True)
        return no_store({"error": "Invalid credentials"}, 401)
    authorization, expires_at, last_used_at = found
    if scope != authorization.scope:
        authorization = replace(authorization, scope=scope)
    note(client_id=authorization.client_id, user_id=authorization.subject, scope=list(authorization.scope))
    lifetime = world.settings.access_token_lifetime
    if expires_at is not None:  # a token never outlives its key
        lifetime = min(lifetime, max(1, int((expires_at - now).total_seconds())))
    token = access_token(authorization, world.live.ring, world.settings.issuer, now=now, lifetime=lifetime)
    if last_used_at is None or last_used_at.date() < now.date():
        await record(world, authorization, now)
    world.measures.count("gatehouse_tokens_total", "api_key")
    world.last_used.saw("api_keys", authorization.client_id, now)
    return no_store({"token": token, "expiresIn": lifetime})


async def record(world: World, authorization: Authorization, now: datetime) -> None:
    """In the audit log, in its user's name: once for a key in six hours and process, so that no script can fill it."""
    user_id, key_id, said = authorization.subject, authorization.client_id, " ".join(authorization.scope)
    if not world.traces.is_news(f"issued api_key {key_id}", now):
        return
    asking.acting(asking.USER, user_id)
    await audit.add(world.pool, "token.issued", now, user_id=user_id, client_id=key_id, grant="api_key", scope=said)


def _resource(body: object) -> list[str]:
    """Raises InvalidRequest."""
    named = body.get("resource", []) if isinstance(body, dict) else []
    if not isinstance(named, (str, list)) or not all(isinstance(uri, str) for uri in named):
        raise InvalidRequest("resource must be a URI")
    return [named] if isinstance(named, str) else named

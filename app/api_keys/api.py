"""GET, POST and DELETE /api-keys: the owner's own keys as JSON, for a signed-in browser or a token with scope `api_keys`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from app.api_keys import keys, store
from app.api_keys.callers import Callers
from app.limits import NEW_KEY, hit
from app.protocol.errors import (
    Conflict,
    InsufficientScope,
    InvalidRequest,
    InvalidScope,
    NotFound,
    NoToken,
    SignInAgain,
)
from app.protocol.scope import ADMIN, API_KEYS, expanded
from app.web import sessions
from app.web.http import json_body, no_store
from app.world import World


class NewKey(BaseModel):
    """The body of POST. `expiresIn` is a duration such as `30d`, `12h`, `45m`; without it the key does not expire,
    unless what makes it does."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    scopes: list[str] | None = Field(None, max_length=20)
    expiresIn: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose keys these are; `reach` is what a key may at most be given, None for everything of theirs. `ends` is when the
    key or the connection ends that asks for one: a key that it makes ends no later."""

    user_id: str
    reach: frozenset[str] | None
    is_admin: bool
    is_recent: bool
    ends: datetime | None = None


def router(world: World, callers: Callers) -> APIRouter:
    """The three routes."""
    routes = APIRouter(prefix="/api-keys", tags=["API keys"])

    @routes.get("")
    async def list_keys(request: Request) -> Response:
        owner = await _owner(request, world, callers)
        async with world.db.connect() as db:
            found = await store.keys_of(db, owner.user_id)
        return no_store({"keys": [keys.shown(key) for key in found]})

    @routes.post("", status_code=201)
    async def create_key(request: Request) -> Response:
        owner, now = await _owner(request, world, callers), world.now()
        try:
            wish = NewKey.model_validate(await json_body(request, world))
        except ValidationError as fault:
            error = fault.errors()[0]
            raise InvalidRequest(f"{'.'.join(map(str, error['loc'])) or 'the body'}: {error['msg']}") from fault
        name, scope = keys.checked_name(wish.name), _scope(wish, owner, world)
        if owner.reach is not None and not owner.reach.issuperset(expanded(frozenset(scope), world.resources.words)):
            raise InvalidScope("a key cannot reach further than the token that makes it")
        if not owner.is_recent:
            raise SignInAgain("sign in again before you make a key")
        wished = now + keys.duration(wish.expiresIn) if wish.expiresIn is not None else None
        expires_at = min((at for at in (wished, owner.ends) if at is not None), default=None)
        await hit(world.pool, NEW_KEY, owner.user_id, now)
        async with world.db.begin() as db:
            made = await keys.create(db, owner.user_id, name, scope, expires_at, now)
        if made is None:
            raise Conflict("there are {most} API keys that work, which is the most; revoke one first", most=store.MOST)
        key, secret = made
        return no_store({**keys.shown(key), "apiKey": secret}, 201)

    @routes.delete("/{key_id}", status_code=204)
    async def revoke_key(key_id: str, request: Request) -> Response:
        owner, now = await _owner(request, world, callers), world.now()
        ended = False
        if re.fullmatch(r"key_[0-9a-f]{24}", key_id):
            async with world.db.begin() as db:
                ended = await keys.end(db, key_id, owner.user_id, now, lifetime=world.token_lifetime)
        if not ended:
            raise NotFound("you have no such key")
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    return routes


async def _owner(request: Request, world: World, callers: Callers) -> Owner:
    """A token decides when there is one; else the session, and then only for requests of our own pages.

    A page of another site can send no JSON and no DELETE here without a preflight, which is never granted; the Origin
    is looked at all the same.
    """
    now = world.now()
    if "authorization" in request.headers:
        principal = await callers.principal(request, now)
        callers.note(principal, now)
        if API_KEYS not in principal.scope:
            raise InsufficientScope("this token may not manage API keys", frozenset({API_KEYS}))
        is_admin = ADMIN in principal.scope and await store.is_admin(world.pool, principal.subject)
        ends = await store.ends(world.pool, principal.handles)
        return Owner(principal.subject, principal.scope, is_admin, is_recent=True, ends=ends)
    sessions.check_own_page(request, world)
    viewer = await sessions.viewer(request, world, now)
    if viewer is None:
        raise NoToken("sign in, or send a token with scope api_keys")
    return Owner(viewer.user_id, None, viewer.is_admin, sessions.is_recent(viewer, now))


def _scope(wish: NewKey, owner: Owner, world: World) -> tuple[str, ...]:
    """Raises InvalidScope."""
    words = list(world.resources.default.default) if wish.scopes is None else wish.scopes
    return keys.checked_scope(words, world.resources, is_admin=owner.is_admin)

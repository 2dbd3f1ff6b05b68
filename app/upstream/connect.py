"""GET and POST /connect/{provider}: an account elsewhere, for tools to act at; who is signed in stays (RFC 6749 §3.3, MCP elicitation)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.protocol.errors import InvalidRequest
from app.protocol.params import parse
from app.protocol.provider import Provider
from app.upstream import flow
from app.upstream.depart import depart, known, way_of
from app.upstream.faults import Away, shown
from app.upstream.flow import CONNECT, Flow
from app.upstream.refused import HERE, Elsewhere
from app.upstream.talk import Places
from app.upstream.vault import store, tokens
from app.upstream.vault.fetch import where
from app.upstream.who import Somebody, somebody
from app.users.visits import sent, visit
from app.web import sessions
from app.web.flow import at_page
from app.web.http import see_other
from app.web.pages import render
from app.world import World

SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e ]{1,600}\Z")


async def show(request: Request, world: World) -> Response:
    """What will be asked for, before anybody is sent anywhere. The link may come from a tool: it connects an account of
    whoever opens it, never of whoever sent it (MCP elicitation, "Phishing")."""
    wanted = _wanted(parse(request.scope["query_string"]).get("scope"))
    provider = await known(world, request.path_params["provider"], world.now())
    way = way_of(provider, CONNECT)
    here = where(world, provider.name, wanted).removeprefix(world.settings.issuer)
    visitor = await visit(request, world, here)
    if isinstance(visitor, Response):
        return visitor
    account = await store.find(world.pool, visitor.viewer.user_id, provider.name)
    before = account.scope if account else ()
    return render(
        "connect.html",
        csrf=visitor.csrf,
        account=visitor.viewer.email,
        req=at_page(here),
        provider=provider,
        held=account,
        scopes=[(word, word in before) for word in dict.fromkeys((*before, *way.scopes, *wanted))],
        scope=" ".join(wanted),
    )


async def begin(request: Request, world: World) -> Response:
    """Asks for what is there already, too: else the service would give a token that does less (incremental authorization)."""
    name = request.path_params["provider"]
    arrived = await sent(request, world, f"/connect/{name}", recent=False)
    if isinstance(arrived, Response):
        return arrived
    visitor, fields = arrived
    provider = await known(world, name, visitor.now)
    way, user_id = way_of(provider, CONNECT), visitor.viewer.user_id
    account = await store.find(world.pool, user_id, provider.name)
    scope = dict.fromkeys((*way.scopes, *(account.scope if account else ()), *_wanted(fields.get("scope"))))
    return await depart(request, world, provider, flow.new(provider.name, CONNECT, tuple(scope), user_id=user_id))


async def finish(
    request: Request,
    world: World,
    provider: Provider,
    begun: Flow,
    at: Places,
    answer: dict[str, Any],
    now: datetime,
) -> Response:
    """Into the vault, sealed. Raises Elsewhere, Untrusted and Away: then nothing is kept."""
    viewer = await sessions.viewer(request, world, now)
    if viewer is None or viewer.user_id != begun.user_id:
        raise Elsewhere("another account is signed in than the one that asked for it")
    person = await _person(world, provider, begun, at, answer, now)
    account = tokens.account_of(provider, viewer.user_id, answer, begun.scope, now, world.secrets.upstream_tokens)
    subject = person.subject if person else answer.get("id")
    account = replace(
        account,
        subject=shown(subject)[:255] if isinstance(subject, str) else None,
        shown=person.shown if person else None,
    )
    async with world.db.begin() as db:
        await store.keep(db, account)
        await audit.record(
            db,
            "upstream.connected",
            now,
            user_id=viewer.user_id,
            provider=provider.name,
            scope=" ".join(account.scope),
        )
    return see_other(f"{HERE}?done=connected")


async def _person(
    world: World, provider: Provider, begun: Flow, at: Places, answer: dict[str, Any], now: datetime
) -> Somebody | None:
    """Whose account it is, to show its user. With an id_token it must hold; without, a service that says nothing is no
    reason to connect nothing."""
    if at.jwks_uri and "openid" in begun.scope:
        return await somebody(world, provider, at, answer, begun.nonce, now)
    if at.jwks_uri or not at.userinfo:
        return None
    try:
        return await somebody(world, provider, at, answer, begun.nonce, now)
    except Away:
        return None


def _wanted(text: str | None) -> tuple[str, ...]:
    """Raises InvalidRequest."""
    if text is not None and not SCOPES.match(text):
        raise InvalidRequest("scope is not a list of scopes")
    return tuple(dict.fromkeys((text or "").split()))

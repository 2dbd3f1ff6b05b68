"""POST /api/mcp/refresh: the next token of a session, as the seed's client expects it, and never beyond the session's life.

The same refresh token goes on working, since that client knows no other. Who asks for `rotate: true` gets a new one each
time, and then an old one that comes back ends the session (RFC 9700 §4.14.2).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.agents import asked, store
from app.agents.sessions import jwt_of, refresh_token
from app.agents.store import Session
from app.metering.budgets import usage
from app.protocol.errors import InvalidGrant, InvalidRequest
from app.tokens.refresh import RefreshToken, read
from app.tokens.store import revoke
from app.web import dpop
from app.web.http import no_store
from app.work import brought
from app.world import World

OVER = "the refresh token is not valid, or its session is over; start a new one"


async def refresh(request: Request, world: World) -> Response:
    now, body = world.now(), await asked.fields(request, world)
    token = read(brought.words(body, "refreshToken") or "", world.secrets.refresh)
    rotate = body.get("rotate", False)
    if not isinstance(rotate, bool):
        raise InvalidRequest("rotate must be true or false")
    jkt = await dpop.key_of(request, world, now)
    if token is None:
        raise InvalidGrant(OVER)
    session = await _next(world, token, jkt, now, rotate=rotate)
    budget = await usage(world.pool, session.id, now)
    jwt, seconds = jwt_of(session, world, now)
    left = 0 if budget is None else budget.remaining_sats
    answer: dict[str, object] = {"jwt": jwt, "expiresIn": seconds, "remainingBudgetSats": left}
    if rotate:
        answer["refreshToken"] = refresh_token(session, world)
    return no_store(answer)


async def _next(world: World, token: RefreshToken, jkt: str | None, now: datetime, *, rotate: bool) -> Session:
    """Raises InvalidGrant."""
    name, grace = token.connection_id, timedelta(seconds=world.settings.refresh_grace)
    known = await store.session_of(world.pool, name)
    if known is None or known.jkt not in (None, jkt):
        raise InvalidGrant(OVER if known is None else "the session is bound to a key; send a DPoP proof of that key")
    session = await store.refreshed(world.pool, name, token.counter, now, rotate=rotate, grace=grace)
    if session is None:
        await _end_if_reused(world, token, now)
        raise InvalidGrant(OVER)
    return session


async def _end_if_reused(world: World, token: RefreshToken, now: datetime) -> None:
    """Somebody has a copy: nobody gets more tokens, and those that are out are void. What was funded stays in the ledger."""
    async with world.db.begin() as db:
        ended = await store.end_if_reused(db, token.connection_id, token.counter, now)
        if ended is not None:
            await revoke(db, [ended.subject], now, lifetime=world.token_lifetime)
            await audit.record(db, "agent_session.reused", now, client_id=ended.project_id, session=ended.id)

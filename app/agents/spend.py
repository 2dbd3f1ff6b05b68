"""POST /api/mcp/charge and GET /api/mcp/usage: a session pays for what it called, and looks at what it has left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.agents import asked
from app.api_keys.callers import Callers
from app.metering.budgets import budget_of, usage
from app.metering.charging import charge, request_hash
from app.metering.model import KEY_REUSED, MOST_KEY, MOST_SATS, NO_BUDGET, Denied
from app.metering.till import Till
from app.protocol.agent_errors import NoBudget
from app.protocol.errors import InvalidRequest
from app.tokens.secrets import new_id
from app.web.http import Endpoint, no_store
from app.work import brought
from app.world import World

NONE = "nobody gave this caller a budget; start a session with /api/mcp/start"


def charging(callers: Callers, till: Till) -> Endpoint:
    """`callers` knows revoked tokens from good ones, as it does for the guard."""

    async def spend(request: Request, world: World) -> Response:
        now = world.now()
        budget_id = await _budget(request, callers, now)
        body = await asked.fields(request, world)
        sats = brought.whole(body, "callCostSats", 0, MOST_SATS)
        tool = brought.words(body, "toolName") or brought.words(body, "toolId")
        key = brought.words(body, "idempotencyKey", MOST_KEY - 4)
        what = request_hash(tool, _arguments(body), sats)
        # Keys of callers and keys of ours never meet: a charge without a key is not to be found under one.
        found = await charge(till, budget_id, sats, f"own:{key}" if key else new_id("chg"), what, now, tool=tool)
        if isinstance(found, Denied):
            if found.reason != NO_BUDGET:
                world.tally.deny(budget_id, tool, found.reason, now)
            return _denied(found)
        response = no_store({"status": "ok", "callsUsed": found.calls_used, "satsUsed": found.sats_used})
        if found.replayed:
            response.headers["Idempotency-Replayed"] = "true"
        return response

    return spend


def _arguments(body: dict[str, Any]) -> list[Any]:
    return [body.get(name) for name in ("toolId", "toolMethodName", "agentId", "metadata")]


def _denied(found: Denied) -> Response:
    """The seed's client shows a denial only when it comes with 200."""
    if found.reason == NO_BUDGET:
        raise NoBudget(NONE)
    if found.reason == KEY_REUSED:
        raise InvalidRequest("this idempotencyKey was used for another charge")
    answer: dict[str, object] = {"status": "deny", "callsUsed": found.calls_used, "satsUsed": found.sats_used}
    response = no_store({**answer, "reason": found.reason})
    if found.retry_after is not None:
        response.headers["Retry-After"] = str(found.retry_after)
    return response


def telling(callers: Callers) -> Endpoint:
    """The same for usage."""

    async def tell(request: Request, world: World) -> Response:
        now = world.now()
        budget = await usage(world.pool, await _budget(request, callers, now), now)
        if budget is None:
            raise NoBudget(NONE)
        return no_store(
            {
                "status": "active" if budget.is_live(now) else "ended",
                "callsUsed": budget.day_calls,
                "satsUsed": budget.day_sats,
                "maxSatsPerDay": budget.max_sats_per_day,
                "remainingBudgetSats": budget.remaining_sats,
                "maxCallsPerMinute": budget.max_calls_per_minute,
                "expiresAt": None if budget.expires_at is None else asked.moment(budget.expires_at),
                "dayWindowStart": asked.moment(budget.day_start),
            }
        )

    return tell


async def _budget(request: Request, callers: Callers, now: datetime) -> str:
    """Whose budget: the id, whether there is one or not. Raises what `Callers.principal` raises."""
    principal = await callers.principal(request, now)
    callers.note(principal, now)
    found = budget_of(principal)
    if found is None:
        raise NoBudget(NONE)
    return found

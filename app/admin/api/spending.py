"""/admin/api/spending and /admin/api/budgets: what was spent, and what people's API keys and connections may spend, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.admin.api import books
from app.admin.api.frame import After, Words, body, caller, plain, wish
from app.admin.api.models import Listed
from app.admin.api.wishes import NewBudget
from app.admin.budgets import acts
from app.admin.budgets import store as budgets
from app.admin.budgets.store import Holder
from app.admin.spending import settlements
from app.admin.spending.pages import exported
from app.metering.spent import store
from app.metering.spent.window import MOST, sorted_out, window
from app.selling.settlements import store as settlement_store
from app.web import paging

LEAN: dict[str, Any] = {"response_model_exclude_none": True}
spending = APIRouter(prefix="/spending", tags=["Spending"])
given = APIRouter(prefix="/budgets", tags=["Budgets"])
ROUTES = (spending, given)


@spending.get("", response_model=books.Spending, **LEAN)
async def show_spending(request: Request, since: Words = None, until: Words = None) -> Any:
    """By day, by project and by tool; the last 30 days unless it is said. Projects and tools: the 400 with most sats."""
    by = caller(request)
    wanted = window(plain(since), plain(until), by.now)
    await by.world.tally.flush()
    async with by.world.db.connect() as db:
        found = sorted_out(await store.by_each(db, wanted, MOST))
    days = {"since": wanted.since.date(), "until": (wanted.until - timedelta(days=1)).date()}
    return days | {name: getattr(found, name) for name in ("total", "days", "projects", "tools")}


@spending.get("/file", response_class=Response)
async def export_spending(
    request: Request, format: Literal["jsonl", "csv"] = "jsonl", since: Words = None, until: Words = None
) -> Response:
    """A line for each day, project and tool, oldest first, as JSON lines or CSV."""
    by = caller(request)
    return await exported(by.world, by.user_id, window(plain(since), plain(until), by.now), format, by.now)


@spending.get("/settlements", response_model=Listed[books.Settlement], **LEAN)
async def list_settlements(request: Request, state: Words = None, after: After = None) -> Any:
    """Payments through the facilitator, newest first; of one state, such as unknown."""
    at, by, wanted = paging.read(after), caller(request), settlements.state_of(plain(state))
    async with by.world.db.connect() as db:
        return settlements.listed_from(await settlement_store.page_of(db, wanted, at, by.now), at)


@spending.get("/settlements/file", response_class=Response)
async def export_settlements(
    request: Request, format: Literal["jsonl", "csv"] = "jsonl", state: Words = None
) -> Response:
    """All of them, newest first, as JSON lines or CSV."""
    by = caller(request)
    return await settlements.exported(by.world, by.user_id, settlements.state_of(plain(state)), format, by.now)


@given.get("", response_model=books.Budgets, **LEAN)
async def list_budgets(request: Request) -> Any:
    """Of API keys and connections, the newest thousand."""
    by = caller(request)
    async with by.world.db.connect() as db:
        return {"rows": [_told(holder) for holder in await budgets.listed(db, 1000, by.now)]}


@given.get("/{holder_id}", response_model=books.Budget, **LEAN)
async def show_budget(request: Request, holder_id: str) -> Any:
    """Of this API key or connection. One that was taken away has `ended_at`."""
    by = caller(request)
    held = await acts.known(by.world, plain(holder_id) or "", by.now)
    if held.budget is None:
        raise acts.none_given()
    return _told(held)


@given.put("/{holder_id}", response_model=books.Budget, openapi_extra=body(NewBudget), **LEAN)
async def give_budget(request: Request, holder_id: str) -> Any:
    """A budget, or another one; what was paid for stays."""
    by, new, which = caller(request), await wish(request, NewBudget), plain(holder_id) or ""
    await acts.give(by.world, which, new.allowance_sats, new.max_calls_per_minute, by.now)
    return _told(await acts.known(by.world, which, by.now))


@given.delete("/{holder_id}", status_code=204)
async def remove_budget(request: Request, holder_id: str) -> None:
    """What was paid for stays, for when it is given one again."""
    by = caller(request)
    await acts.take_away(by.world, plain(holder_id) or "", by.now)


def _told(holder: Holder) -> dict[str, Any]:
    assert holder.budget is not None
    whose = {"email": holder.email, "name": holder.name}
    return asdict(holder.budget) | whose | {"remaining_sats": holder.budget.remaining_sats}

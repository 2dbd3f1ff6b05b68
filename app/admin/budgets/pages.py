"""/admin/budgets and /admin/budgets/ID: what people's API keys and connections may spend, given, changed and taken away."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.budgets import acts, store
from app.admin.entry import Visit, nothing_here
from app.admin.frame import done, shown, word
from app.language.catalogs import N_
from app.metering.spent import store as spent
from app.protocol.errors import InvalidRequest, NotFound, OAuthError
from app.protocol.params import Params

HERE = "/admin/budgets"
MOST, ENTRIES = 100, 20


async def budgets(visit: Visit) -> Response:
    """The newest."""
    async with visit.world.db.connect() as db:
        rows = await store.listed(db, MOST, visit.now)
    return shown(visit, "admin_budgets.html", rows=rows, most=MOST)


async def budget(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """Of one API key or connection."""
    name = _which(visit)
    try:
        holder = await acts.known(visit.world, name, visit.now)
    except NotFound as fault:
        raise nothing_here() from fault
    async with visit.world.db.connect() as db:
        entries = await spent.newest(db, [name], ENTRIES)
    held = holder.budget
    usual = {
        "allowance_sats": str(held.allowance_sats) if held else "100",
        "max_calls_per_minute": str(held.max_calls_per_minute or "") if held else "",
    }
    return shown(
        visit,
        "admin_budget.html",
        refusal=refusal,
        holder=holder,
        budget=held if held and held.is_live(visit.now) else None,
        path=f"{HERE}/{name}",
        entered={key: (word(typed, key, 30) or "") if typed else value for key, value in usual.items()},
        entries=entries,
        fault="allowance_sats" if refusal else None,
    )


async def give(visit: Visit, fields: Params) -> Response:
    allowance, calls = _whole(fields, "allowance_sats"), _whole(fields, "max_calls_per_minute")
    if allowance is None:
        raise InvalidRequest(N_("the allowance must be a number of sats"))
    await acts.give(visit.world, _which(visit), allowance, calls, visit.now)
    return done(f"{HERE}/{_which(visit)}", "budget-given")


async def take_away(visit: Visit, fields: Params) -> Response:
    """It may have gone meanwhile, which is as well."""
    try:
        await acts.take_away(visit.world, _which(visit), visit.now)
    except NotFound:
        return done(f"{HERE}/{_which(visit)}", "nothing")
    return done(f"{HERE}/{_which(visit)}", "budget-removed")


def _whole(fields: Params, name: str) -> int | None:
    text = word(fields, name, 30)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise InvalidRequest(N_("every number here is a whole one"))
    return int(text)


def _which(visit: Visit) -> str:
    return str(visit.request.path_params["budget"])

"""/admin/spending and what is below it: sats by day, by project and by tool, and all of it to take away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from app import audit
from app.admin.entry import Visit
from app.admin.frame import query, shown, word
from app.admin.spending import settlements
from app.metering.spent import store
from app.metering.spent.model import NUMBERS
from app.metering.spent.store import Window
from app.metering.spent.window import sorted_out, window
from app.protocol.errors import InvalidRequest, OAuthError
from app.selling.settlements.store import unknown as how_many_unknown
from app.web import files
from app.world import World

COLUMNS = ("day", "project", "name", "tool", *NUMBERS)
SHOWN = 31  # lines of a kind on the page


async def spending(visit: Visit) -> Response:
    """The last 30 days, or those asked for."""
    params = query(visit)
    filters = {name: word(params, name, 20) for name in ("since", "until")}
    refusal: OAuthError | None = None
    try:
        wanted = window(filters["since"], filters["until"], visit.now)
    except InvalidRequest as fault:
        refusal, wanted = fault, window(None, None, visit.now)
    await visit.world.tally.flush()  # what this process has not written yet
    async with visit.world.db.connect() as db:
        books = sorted_out(await store.by_each(db, wanted, SHOWN))
        unknown = await how_many_unknown(db, visit.now)
    return shown(
        visit,
        "admin_spending.html",
        refusal=refusal,
        books=books,
        unknown=unknown,
        filters=filters,
        first=wanted.since,
        last=wanted.until - timedelta(days=1),
        is_cut=(wanted.until - wanted.since).days > SHOWN,
        fault="days" if refusal else None,
    )


async def file(visit: Visit) -> Response:
    """A line for each day, project and tool, as JSON lines or CSV."""
    params = query(visit)
    wanted = window(word(params, "since", 20), word(params, "until", 20), visit.now)
    return await exported(visit.world, visit.viewer.user_id, wanted, params.get("format") or "csv", visit.now)


async def exported(world: World, user_id: str, wanted: Window, kind: str, now: datetime) -> Response:
    """That somebody took it is in the audit log. Raises InvalidRequest."""
    files.check(kind)
    await world.tally.flush()
    async with world.db.begin() as db:
        await audit.record(db, "spending.exported", now, user_id=user_id, format=kind)
    return files.sent(_lines(world, wanted), COLUMNS, kind, f"gatehouse-spending-{now:%Y-%m-%d}")


async def _lines(world: World, wanted: Window) -> AsyncIterator[dict[str, Any]]:
    async with world.db.connect() as db:
        async for line in store.cube(db, wanted):
            yield asdict(line)


PAGES = {
    "/admin/spending": spending,
    "/admin/spending/file": file,
    "/admin/spending/settlements": settlements.settlements,
    "/admin/spending/settlements/file": settlements.file,
}

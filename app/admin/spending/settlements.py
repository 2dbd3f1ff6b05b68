"""/admin/spending/settlements and its file: payments through the facilitator, one by one, and how far each has come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.responses import Response

from app import audit
from app.admin.entry import Visit
from app.admin.frame import place, query, shown, word
from app.language.catalogs import N_
from app.protocol.errors import InvalidRequest, OAuthError
from app.selling.settlements import store
from app.selling.settlements.model import STATES, Settlement
from app.web import files, paging
from app.world import World

COLUMNS = tuple(Settlement.__slots__)


async def settlements(visit: Visit) -> Response:
    """Newest first; of one state."""
    refusal: OAuthError | None = None
    try:
        state, at = state_of(word(query(visit), "state", 20)), place(visit)
    except InvalidRequest as fault:
        refusal, state, at = fault, None, None
    async with visit.world.db.connect() as db:
        listed = listed_from(await store.page_of(db, state, at, visit.now), at)
    return shown(visit, "admin_settlements.html", refusal=refusal, listed=listed, filters={"state": state})


async def file(visit: Visit) -> Response:
    """As JSON lines or CSV."""
    params = query(visit)
    state = state_of(word(params, "state", 20))
    return await exported(visit.world, visit.viewer.user_id, state, params.get("format") or "csv", visit.now)


def state_of(text: str | None) -> str | None:
    """None for all. Raises InvalidRequest."""
    if text is not None and text not in STATES:
        raise InvalidRequest(N_("there is no such state"))
    return text


def listed_from(rows: list[Settlement], at: paging.Place | None) -> paging.Page[Settlement]:
    return paging.page(rows, at, lambda row: paging.Place(row.started_at, (row.id,)))


async def exported(world: World, user_id: str, state: str | None, kind: str, now: datetime) -> Response:
    """That somebody took it is in the audit log. Raises InvalidRequest."""
    files.check(kind)
    async with world.db.begin() as db:
        await audit.record(db, "spending.exported", now, user_id=user_id, format=kind, what="settlements")
    return files.sent(_rows(world, state, now), COLUMNS, kind, f"gatehouse-settlements-{now:%Y-%m-%d}")


async def _rows(world: World, state: str | None, now: datetime) -> AsyncIterator[dict[str, Any]]:
    async with world.db.connect() as db:
        async for row in store.every(db, state, now):
            yield asdict(row)

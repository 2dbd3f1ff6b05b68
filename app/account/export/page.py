"""POST /account/export: everything that is kept about somebody, to take along, written as it is read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app import audit
from app.account import frame
from app.account.export.store import SECTIONS, rows
from app.limits import EXPORT, hit
from app.world import World


async def export(request: Request, world: World) -> Response:
    """A JSON document with a list for each kind of thing."""
    visit, _ = await frame.sent(request, world)
    if visit is None:
        return frame.to_login("/account/profile")
    user_id, now = visit.viewer.user_id, visit.now
    await hit(world.pool, EXPORT, user_id, now)
    await world.tally.flush()
    async with world.db.begin() as db:
        await audit.record(db, "account.exported", now, user_id=user_id)
    headers = {
        "Content-Disposition": f'attachment; filename="gatehouse-{now:%Y-%m-%d}.json"',
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return StreamingResponse(_written(world, user_id, now), 200, headers, "application/json")


async def _written(world: World, user_id: str, now: datetime) -> AsyncIterator[str]:
    yield f'{{"issuer": {json.dumps(world.settings.issuer)}, "exported_at": "{now.isoformat()}"'
    for section in SECTIONS:
        yield f',\n"{section.name}": ['
        separator = "\n"
        async for batch in rows(world.db, section, user_id):
            yield separator + ",\n".join(json.dumps(row, default=_plain, ensure_ascii=False) for row in batch)
            separator = ",\n"
        yield "]"
    yield "}\n"


def _plain(value: Any) -> str:
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in an export")

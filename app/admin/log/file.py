"""The audit log as a file: JSON lines (RFC 8259 each) or CSV (RFC 4180), streamed in batches so that memory stays small."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.responses import Response, StreamingResponse

from app import audit
from app.admin.log import store
from app.admin.log.store import Event, Wanted
from app.language.catalogs import N_
from app.protocol.errors import InvalidRequest
from app.world import World

TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run (OWASP: CSV injection)


async def exported(world: World, user_id: str, wanted: Wanted, kind: str, now: datetime) -> Response:
    """All that is wanted, oldest first; that somebody took it is in the log as well. Raises InvalidRequest."""
    if kind not in TYPES:
        raise InvalidRequest(N_("format must be jsonl or csv"))
    async with world.db.begin() as db:
        await audit.record(db, "audit.exported", now, user_id=user_id, format=kind)
    name = f"gatehouse-audit-{now:%Y-%m-%d}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines(world, wanted, kind), media_type=TYPES[kind], headers=headers)


async def lines(world: World, wanted: Wanted, kind: str) -> AsyncIterator[str]:
    """Oldest first. Each batch in a transaction of its own, so that a slow reader holds nothing up."""
    written = _csv if kind == "csv" else _json
    if kind == "csv":
        yield _row(list(Event.__slots__))
    after = 0
    while True:
        async with world.db.connect() as db:
            events = await store.oldest(db, wanted, after=after)
        if events:
            after = events[-1].id
            yield "".join(written(event) for event in events)
        if len(events) < store.BATCH:
            return


def told(event: Event) -> dict[str, Any]:
    """What is not known is left out."""
    values = asdict(event) | {"at": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    return {name: value for name, value in values.items() if value is not None}


def _json(event: Event) -> str:
    return json.dumps(told(event), ensure_ascii=False) + "\n"


def _csv(event: Event) -> str:
    values = told(event) | {"detail": json.dumps(event.detail, ensure_ascii=False)}
    return _row([str(values.get(name, "")) for name in Event.__slots__])


def _row(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells])
    return line.getvalue()

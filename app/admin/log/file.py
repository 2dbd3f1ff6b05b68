"""The audit log as a file: JSON lines (RFC 8259 each) or CSV (RFC 4180), streamed in batches so that memory stays small."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.responses import Response

from app import audit
from app.admin.log import store
from app.admin.log.store import Event, Wanted
from app.web import files
from app.world import World


async def exported(world: World, user_id: str, wanted: Wanted, kind: str, now: datetime) -> Response:
    """All that is wanted, oldest first; that somebody took it is in the log as well. Raises InvalidRequest."""
    files.check(kind)
    async with world.db.begin() as db:
        await audit.record(db, "audit.exported", now, user_id=user_id, format=kind)
    return files.attached(lines(world, wanted, kind), kind, f"gatehouse-audit-{now:%Y-%m-%d}")


async def lines(world: World, wanted: Wanted, kind: str) -> AsyncIterator[str]:
    """Oldest first. Each batch in a transaction of its own, so that a slow reader holds nothing up."""
    written = _csv if kind == "csv" else _json
    if kind == "csv":
        yield files.line(Event.__slots__)
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
    return files.line(values.get(name, "") for name in Event.__slots__)

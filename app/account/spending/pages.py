"""GET /account/spending and its forms: what this person's keys and apps may spend and have spent; a receipt for each charge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.account import frame
from app.account.spending import store
from app.language.when import ago, day
from app.limits import EXPORT, hit
from app.metering import budgets
from app.metering.spent import store as spent
from app.metering.spent.model import Entry
from app.metering.spent.window import sorted_out, window
from app.protocol.errors import NotFound
from app.selling.receipts import of_charge
from app.web import files
from app.web.http import no_store
from app.world import World

PATH = "/account/spending"
SHOWN, ENTRIES = 20, 30
COLUMNS = ("id", "at", "budget_id", "name", "tool", "state", "sats", "free_sats", "returned_sats", "remaining_sats")


async def show(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login(PATH)
    user_id, now = visit.viewer.user_id, visit.now
    await world.tally.flush()
    before = _number(frame.query(request).get("before"))
    wanted = window(None, None, now, user_id)
    async with world.db.connect() as db:
        mine = await store.budgets(db, user_id, now)
        books = sorted_out(await spent.by_each(db, wanted, SHOWN))
        entries = await spent.newest(db, [one.budget.id for one in mine], ENTRIES + 1, before=before)
    return frame.page(
        visit,
        "account_spending.html",
        live=[one for one in mine if one.budget.is_live(now)],
        books=books,
        first=day(wanted.since),
        last=day(wanted.until - timedelta(days=1)),
        day=day,
        entries=[(entry, ago(entry.at, now)) for entry in entries[:ENTRIES]],
        before=entries[ENTRIES - 1].id if len(entries) > ENTRIES else None,
        is_first=before is None,
    )


async def give_up(request: Request, world: World) -> Response:
    """Nothing is charged to it any more; only an admin gives it back."""
    visit, fields = await frame.sent(request, world)
    if visit is None:
        return frame.to_login(PATH)
    name = fields.required("id")
    async with world.db.begin() as db:
        gone = await budgets.take_away(db, name, visit.now, user_id=visit.viewer.user_id)
    return frame.done(PATH, "budget-given-up" if gone else "nothing")


async def receipt(request: Request, world: World) -> Response:
    """For one charge, signed at this moment: keys that signed long ago are published no more."""
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login(PATH)
    entry = await _entry(visit, _number(frame.query(request).get("charge")))
    signed = of_charge(world, entry, visit.viewer.user_id, visit.now)
    if "application/json" in request.headers.get("accept", ""):
        return no_store({"receipt": signed})
    issuer = world.settings.issuer
    return frame.page(
        visit,
        "account_receipt.html",
        script=True,
        entry=entry,
        at=ago(entry.at, visit.now),
        signed=signed,
        issuer=issuer,
    )


async def file(request: Request, world: World) -> Response:
    """Every charge, oldest first, as CSV or JSON lines."""
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login(PATH)
    kind, user_id = frame.query(request).get("format") or "csv", visit.viewer.user_id
    files.check(kind)
    await hit(world.pool, EXPORT, user_id, visit.now)
    async with world.db.begin() as db:
        mine = [one.budget.id for one in await store.budgets(db, user_id, visit.now)]
        await audit.record(db, "spending.exported", visit.now, user_id=user_id, format=kind)
    return files.sent(_charges(world, mine), COLUMNS, kind, f"gatehouse-charges-{visit.now:%Y-%m-%d}")


async def _charges(world: World, budget_ids: list[str]) -> AsyncIterator[dict[str, Any]]:
    """In batches, so that a slow reader holds no connection."""
    after = 0
    while True:
        async with world.db.connect() as db:
            entries = await spent.oldest(db, budget_ids, after)
        for entry in entries:
            yield asdict(entry)
        if len(entries) < spent.BATCH:
            return
        after = entries[-1].id


async def _entry(visit: frame.Visit, charge: int | None) -> Entry:
    """A charge of this person that stayed one. Raises NotFound."""
    async with visit.world.db.connect() as db:
        mine = [one.budget.id for one in await store.budgets(db, visit.viewer.user_id, visit.now)]
        found = await spent.newest(db, mine, 1, charge=charge) if charge is not None else []
    if not found or found[0].state != "charged":
        raise NotFound("there is no such charge")
    return found[0]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None

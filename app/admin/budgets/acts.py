"""Budgets given and taken away by an admin, for the pages and the JSON API alike."""

from __future__ import annotations

from datetime import datetime

from app.admin.budgets import store
from app.admin.budgets.store import Holder
from app.language.catalogs import N_
from app.metering import budgets
from app.metering.model import MOST_SATS
from app.protocol.errors import InvalidRequest, NotFound
from app.world import World

MOST_CALLS = 1_000_000


async def known(world: World, name: str, now: datetime) -> Holder:
    """Raises NotFound."""
    async with world.db.connect() as db:
        found = await store.holder(db, name, now)
    if found is None:
        raise NotFound(N_("there is no such API key and no such open connection"))
    return found


async def give(world: World, name: str, allowance_sats: int, calls: int | None, now: datetime) -> None:
    """`calls` a minute, None for as many as they like. Raises InvalidRequest, NotFound."""
    if not 0 <= allowance_sats <= MOST_SATS:
        raise InvalidRequest(N_("the allowance must be a number of sats"))
    if calls is not None and not 0 < calls <= MOST_CALLS:
        raise InvalidRequest(N_("calls a minute must be 1 to {most}"), most=MOST_CALLS)
    await known(world, name, now)
    async with world.db.begin() as db:
        await budgets.give(db, name, now, allowance_sats=allowance_sats, max_calls_per_minute=calls)


async def take_away(world: World, name: str, now: datetime) -> None:
    """Raises NotFound."""
    async with world.db.begin() as db:
        taken = await budgets.take_away(db, name, now)
    if not taken:
        raise none_given()


def none_given() -> NotFound:
    return NotFound(N_("it has no budget"))

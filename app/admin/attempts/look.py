"""Attempts to connect as `gatehouse trace` tells them: a page of them, newest first, and one of them by any of its names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.language.catalogs import N_
from app.protocol.errors import NotFound
from app.traces import store
from app.traces.attempts import GAP, Attempt, attempts
from app.traces.states import ABANDONED, FAILED
from app.traces.step import Step
from app.traces.telling import is_about, told, told_step
from app.traces.verdicts import verdict
from app.web.paging import PAGE, Page, Place
from app.world import World

MOST = 600  # steps that one page looks at: what belongs together is sorted while it is read
LATER = 200  # and those behind its beginning, which belong to what began before


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attempts; what is absent does not matter. `client` is an id or a part of a name, `user` an e-mail or id."""

    client: str | None = None
    user: str | None = None
    failed: bool = False


async def page_of(world: World, wanted: Wanted, place: Place | None, now: datetime) -> Page[dict[str, Any]]:
    """The attempts that ended last, of those that MOST steps tell of; the next page goes on where these end."""
    first = now - timedelta(days=max(world.settings.trace_days, 1))
    if place is None:
        steps = await store.since(world.pool, first, most=MOST)
    else:
        steps = await store.around(world.pool, place.at, first, place.at + GAP, most=MOST, later=LATER)
    found = [one for one in reversed(attempts(steps)) if place is None or _key(one) < (place.at, place.names)]
    is_cut = sum(place is None or step.at <= place.at for step in steps) >= MOST
    if is_cut:
        found = _whole(found, steps)
    rows: list[dict[str, Any]] = []
    looked_at = 0
    while looked_at < len(found) and len(rows) < PAGE:
        rows += [told(found[looked_at], now)] if _is_wanted(found[looked_at], wanted, now) else []
        looked_at += 1
    more = looked_at > 0 and (looked_at < len(found) or is_cut)
    after = Place(*_key(found[looked_at - 1])).written() if more else None
    return Page(rows, after, place is None)


def _key(attempt: Attempt) -> tuple[datetime, tuple[str]]:
    return attempt.ended_at, (attempt.id,)


def _whole(found: list[Attempt], steps: list[Step]) -> list[Attempt]:
    """Without those at the end that may have begun before the first of these steps: the next page has them."""
    sure = steps[0].at + (steps[-1].at - steps[0].at) / 4
    end = len(found)
    while end > 1 and found[end - 1].started_at < sure:
        end -= 1
    return found[:end]


def _is_wanted(attempt: Attempt, wanted: Wanted, now: datetime) -> bool:
    if wanted.client and not is_about(attempt, wanted.client):
        return False
    accounts = {attempt.last_fact("account"), *(step.user_id for step in attempt.steps)} if wanted.user else set()
    if wanted.user and wanted.user not in accounts:
        return False
    return not wanted.failed or verdict(attempt, now).state in (FAILED, ABANDONED)


async def one(world: World, identifier: str, now: datetime) -> dict[str, Any]:
    """The attempt with this id, or to which the request with this id belongs, or that step alone. Raises NotFound."""
    at = await store.time_of(world.pool, identifier)
    if at is None:
        raise NotFound(N_("nothing in the trace has this name; it goes back a few days only"))
    steps = await store.around(world.pool, at, at - 4 * GAP, at + 4 * GAP, most=MOST, later=MOST)
    for attempt in attempts(steps):
        if any(step.request_id == identifier for step in attempt.steps):
            return told(attempt, now)
    return _alone(next(step for step in steps if step.request_id == identifier))


def _alone(step: Step) -> dict[str, Any]:
    line = told_step(step)
    names = ("client_id", "client_name", "connection_id")
    return {
        "id": step.request_id,
        "started_at": line["at"],
        "ended_at": line["at"],
        **{name: line[name] for name in names if name in line},
        "addresses": [step.address],
        "state": FAILED if not step.well else "",
        "verdict": line["words"],
        "steps": [line],
    }


async def failures(world: World, now: datetime) -> int:
    """How many attempts failed or were given up within a day, of those that the last MOST steps tell of."""
    steps = await store.since(world.pool, now - timedelta(days=1), most=MOST)
    return sum(verdict(attempt, now).state in (FAILED, ABANDONED) for attempt in attempts(steps))

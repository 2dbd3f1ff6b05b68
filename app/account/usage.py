"""GET /account/usage: how often tools were called in this person's name, by day, by tool and by app."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.account import frame, store
from app.language.when import When, day
from app.world import World

DAYS = 30
MOST = 20  # tools and apps in the lists; the others are summed up
WIDTH, HEIGHT = 600, 120  # of the chart, in its own units; the page stretches it


@dataclass(frozen=True, slots=True)
class Bar:
    """A day in the chart and in its table. Lengths in the chart's units."""

    day: When
    calls: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """A tool or an app; `share` of the longest, in percent. `name` is absent for an app that is gone."""

    name: str | None
    calls: int
    share: float


async def show(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login("/account/usage")
    await world.tally.flush()  # what this process has not written yet
    today = visit.now.date()
    first = today - timedelta(days=DAYS - 1)
    async with world.db.connect() as db:
        found = await store.usage(db, visit.viewer.user_id, first)
    total = sum(found.days.values())
    return frame.page(
        visit,
        "account_usage.html",
        bars=bars(found.days, first),
        chart=(WIDTH, HEIGHT),
        most=max(found.days.values(), default=0),
        total=total,
        tools=lines(found.tools),
        apps=lines(found.apps),
        first=day(first),
        today=day(today),
    )


def bars(days: dict[date, int], first: date) -> list[Bar]:
    """One a day, today's last; the busiest day is as high as the chart, and no call is too few to be seen."""
    most, step = max(days.values(), default=0), WIDTH / DAYS
    made = []
    for number in range(DAYS):
        of = first + timedelta(days=number)
        calls = days.get(of, 0)
        height = max(2.0, round(HEIGHT * calls / most, 1)) if calls else 0.0
        made.append(Bar(day(of), calls, round(number * step + 2, 1), round(HEIGHT - height, 1), step - 4, height))
    return made


def lines(counted: list[tuple[str | None, int]] | list[tuple[str, int]]) -> list[Line]:
    """The most called first, at most MOST."""
    most = max((calls for _, calls in counted), default=0)
    return [Line(name, calls, max(1.0, round(100 * calls / most, 1))) for name, calls in counted[:MOST]]

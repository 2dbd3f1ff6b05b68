"""Which days of the books are asked for, and what is summed of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from app.language.catalogs import N_
from app.metering.spent.model import Line
from app.metering.spent.store import Window
from app.protocol.errors import InvalidRequest

USUAL, MOST = 30, 400  # days; what is older is swept


@dataclass(frozen=True, slots=True)
class Books:
    """What a page shows. `days` newest first, projects and tools with most sats first."""

    total: Line
    days: list[Line]
    projects: list[Line]
    tools: list[Line]


def window(since: str | None, until: str | None, now: datetime, user_id: str | None = None) -> Window:
    """Both are days such as 2026-05-31, in UTC, and counted; the last 30 unless it is said. Raises InvalidRequest."""
    last = _day(until) or now.astimezone(UTC).date()
    try:
        first = _day(since) or last - timedelta(days=USUAL - 1)
        past = last + timedelta(days=1)
    except OverflowError as fault:
        raise InvalidRequest(N_("a day is written such as 2026-05-31")) from fault
    if not 0 < (past - first).days <= MOST:
        raise InvalidRequest(N_("from one to {most} days, the first before the last"), most=MOST)
    return Window(_midnight(first), _midnight(past), user_id)


def sorted_out(lines: list[Line]) -> Books:
    """What `by_each` found."""
    total = next(line for line in lines if line.day is None and line.project is None and line.tool is None)
    days = [line for line in lines if line.day is not None]
    tools = [line for line in lines if line.tool is not None]
    return Books(total, days, [line for line in lines if line.project is not None], tools)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as fault:
        raise InvalidRequest(N_("a day is written such as 2026-05-31")) from fault


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)

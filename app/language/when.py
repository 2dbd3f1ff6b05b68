"""Moments as people say them, in the language of the request: a day, or how long ago."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.language.catalogs import N_, _, ngettext

MONTHS = (
    N_("January"),
    N_("February"),
    N_("March"),
    N_("April"),
    N_("May"),
    N_("June"),
    N_("July"),
    N_("August"),
    N_("September"),
    N_("October"),
    N_("November"),
    N_("December"),
)


@dataclass(frozen=True, slots=True)
class When:
    """For `<time datetime="{{ at }}">{{ words }}</time>`; `at` is RFC 3339 in UTC."""

    at: str
    words: str


def day(of: date) -> When:
    """Such as "3 May 2026". Of a moment, the UTC day."""
    words = _("{day} {month} {year}").format(day=of.day, month=_(MONTHS[of.month - 1]), year=of.year)
    return When(_written(of), words)


def ago(moment: datetime, now: datetime) -> When:
    """Such as "5 minutes ago"; after a month, the day."""
    passed = now - moment
    minutes, hours = int(passed.total_seconds() // 60), int(passed.total_seconds() // 3600)
    if minutes < 2:
        words = _("just now")
    elif hours < 1:
        words = ngettext("{n} minute ago", "{n} minutes ago", minutes).format(n=minutes)
    elif hours < 24:
        words = ngettext("{n} hour ago", "{n} hours ago", hours).format(n=hours)
    elif passed < timedelta(days=31):
        words = ngettext("{n} day ago", "{n} days ago", passed.days).format(n=passed.days)
    else:
        return day(moment)
    return When(_written(moment), words)


def lasting(time: timedelta) -> str:
    """Such as "90 days", in the largest unit that there are two of, or exactly one; rounded up."""
    seconds = int(time.total_seconds())
    for unit, words in ((86400, _days), (3600, _hours)):
        if seconds == unit or seconds >= 2 * unit:
            return words(-(-seconds // unit))
    minutes = -(-seconds // 60)
    return ngettext("{n} minute", "{n} minutes", minutes).format(n=minutes)


def _days(n: int) -> str:
    return ngettext("{n} day", "{n} days", n).format(n=n)


def _hours(n: int) -> str:
    return ngettext("{n} hour", "{n} hours", n).format(n=n)


def _written(of: date) -> str:
    return of.isoformat(timespec="seconds").replace("+00:00", "Z") if isinstance(of, datetime) else of.isoformat()

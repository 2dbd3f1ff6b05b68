"""Long lists, a page at a time, by key: the last row of a page says where the next begins, so that no page costs more than the first."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from app.protocol.errors import InvalidRequest
from app.tokens.secrets import b64, unb64

PAGE = 50
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Place:
    """Between two rows of a list that is ordered by a moment and then by names."""

    at: datetime
    names: tuple[str, ...]

    def written(self) -> str:
        """For a URL."""
        return b64(json.dumps([self.at.isoformat(), *self.names]).encode())


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """`after` is for the link to what follows, absent at the end; `is_first` when nothing goes before."""

    rows: list[Row]
    after: str | None
    is_first: bool


def read(text: str | None, names: int = 1) -> Place | None:
    """The place in a URL; None for the beginning. Raises InvalidRequest for one that `written` did not write."""
    if text is None:
        return None
    try:
        parts = json.loads(unb64(text[:4000]))
        at = datetime.fromisoformat(parts[0])
        rest = tuple(parts[1:])
    except (ValueError, TypeError, IndexError, KeyError, RecursionError) as fault:
        raise InvalidRequest("this page of the list does not exist") from fault
    if at.tzinfo is None or len(rest) != names or not all(isinstance(name, str) and "\0" not in name for name in rest):
        raise InvalidRequest("this page of the list does not exist")
    return Place(at, rest)


def page(rows: Sequence[Row], place: Place | None, key: Callable[[Row], Place], size: int = PAGE) -> Page[Row]:
    """Of up to `size` + 1 rows that follow a place."""
    after = key(rows[size - 1]).written() if len(rows) > size else None
    return Page(list(rows[:size]), after, place is None)

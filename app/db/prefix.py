"""Searching long tables: what begins with some words, by an index with `text_pattern_ops`; a plan for what is asked for now."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, text
from sqlalchemy.ext.asyncio import AsyncConnection

LAST = chr(0x10FFFF)


def begins(column: ColumnElement[Any], words: str) -> ColumnElement[bool]:
    """A range: unlike LIKE it needs no wildcards escaped, and its index works with parameters."""
    return and_(column.op("~>=~")(words), column.op("~<~")(_behind(words)))


async def plan_anew(db: AsyncConnection) -> None:
    """For the rest of this transaction no plan is reused: rare words and common ones want different indexes."""
    await db.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))


def _behind(words: str) -> str:
    """The first text after all that begin so; code points and UTF-8 bytes are in one order."""
    head = words.rstrip(LAST)
    if not head:
        return LAST * 100
    following = ord(head[-1]) + 1
    return head[:-1] + chr(0xE000 if following == 0xD800 else following)

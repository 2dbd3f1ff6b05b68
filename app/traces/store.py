"""SQL of the traces: written in batches by COPY, read for the last days, forgotten by age and by number."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import HotPool
from app.traces.step import Step

COLUMNS = (
    "at",
    "request_id",
    "what",
    "method",
    "path",
    "status",
    "error",
    "description",
    "client_id",
    "client_name",
    "address",
    "user_agent",
    "user_id",
    "connection_id",
    "links",
    "facts",
)
MOST_ROWS = 300_000  # some 100 MB; past that the oldest go
MOST_READ = 50_000
OTHER_DAYS = 1  # refusals at addresses that have nothing to do with connecting: scanners, mostly
# A last line of defence: no step is given a secret, and what looks like one is not written.
SECRET = re.compile(r"gh_[a-z]+_[A-Za-z0-9_-]{6,}|eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*")


async def write(pool: HotPool, steps: Sequence[Step]) -> None:
    """All of them or none."""
    await pool.copy("trace_steps", [_row(step) for step in steps], COLUMNS)


def _row(step: Step) -> tuple[Any, ...]:
    return (
        step.at,
        step.request_id,
        step.what,
        plain(step.method, 20),
        plain(step.path, 200),
        step.status,
        _plain(step.error, 60),
        _plain(step.description, 300),
        _plain(step.client_id, 300),
        _plain(step.client_name, 100),
        plain(step.address, 60),
        plain(step.user_agent, 200),
        step.user_id,
        _plain(step.connection_id, 60),
        list(step.links),
        json.dumps({name: _fact(value) for name, value in step.facts.items()}),
    )


def plain(words: str, limit: int) -> str:
    """Cut, in characters that can be stored and shown on a terminal, without what looks like one of our secrets."""
    words = SECRET.sub("(secret)", words[: limit * 2])[:limit]
    return words if words.isprintable() else "".join(c if c.isprintable() else "?" for c in words)


def _plain(words: str | None, limit: int) -> str | None:
    return None if words is None else plain(words, limit)


def _fact(value: object) -> object:
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(str(item), 200) for item in list(value)[:20]]
    return plain(str(value), 300)


SHOWN = """
SELECT s.*, coalesce(s.client_name, c.client_name) AS shown_name, u.email
FROM trace_steps s LEFT JOIN clients c ON c.client_id = s.client_id LEFT JOIN users u ON u.id = s.user_id
"""


async def since(pool: HotPool, start: datetime, until: datetime | None = None, *, most: int = MOST_READ) -> list[Step]:
    """The steps from `start` on, in order; of more than `most` the newest."""
    newest = (
        f"{SHOWN} WHERE s.at >= $1 AND ($2::timestamptz IS NULL OR s.at <= $2) ORDER BY s.at DESC, s.id DESC LIMIT $3"
    )
    rows = await pool.fetch(newest, start, until, most)
    # A batch whose answer was lost is written twice; a request is one step all the same.
    return list({row["request_id"]: _step(row) for row in reversed(rows)}.values())


async def around(
    pool: HotPool, at: datetime, before: datetime, after: datetime, *, most: int, later: int
) -> list[Step]:
    """The steps from `before` to `after`, in order: the last `most` until `at`, and the first `later` behind it."""
    rows = await pool.fetch(
        f"({SHOWN} WHERE s.at >= $2 AND s.at <= $1 ORDER BY s.at DESC, s.id DESC LIMIT $4) UNION ALL "
        f"({SHOWN} WHERE s.at > $1 AND s.at <= $3 ORDER BY s.at, s.id LIMIT $5)",
        at,
        before,
        after,
        most,
        later,
    )
    return list(
        {row["request_id"]: _step(row) for row in sorted(rows, key=lambda row: (row["at"], row["id"]))}.values()
    )


async def time_of(pool: HotPool, request_id: str) -> datetime | None:
    """When the request with this id was answered, if it is in the trace."""
    at: datetime | None = await pool.fetchval(
        "SELECT at FROM trace_steps WHERE request_id = $1 ORDER BY id LIMIT 1", request_id
    )
    return at


def _step(row: Any) -> Step:
    facts = json.loads(row["facts"])
    if row["email"] is not None:
        facts["account"] = row["email"]
    values = {name: row[name] for name in COLUMNS}
    return Step(
        **values | {"client_name": row["shown_name"], "links": tuple(row["links"]), "facts": facts, "id": row["id"]}
    )


FORGET = f"""
DELETE FROM trace_steps WHERE at < :before OR (what = 'other' AND at < :other)
  OR id <= (SELECT max(id) - {MOST_ROWS} FROM trace_steps)
"""


async def forget(db: AsyncConnection, days: int, now: datetime) -> int:
    """How many rows went: the old ones, and those past MOST_ROWS. With `days` 0, all."""
    before = now - timedelta(days=days)
    other = now - timedelta(days=min(days, OTHER_DAYS))
    return (await db.execute(text(FORGET), {"before": before, "other": other})).rowcount


async def forget_user(db: AsyncConnection, user_id: str) -> None:
    """Every step of somebody whose account is deleted."""
    await db.execute(text("DELETE FROM trace_steps WHERE user_id = :user_id"), {"user_id": user_id})

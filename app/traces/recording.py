"""Steps are noted while a request is answered and written afterwards, in batches: a request pays no round trip for its trace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

import structlog

from app.db.engine import UNAVAILABLE, HotPool
from app.traces import store
from app.traces.step import Step

FLUSH_SECONDS = 1.0
WAITING = 5000  # steps; past that the oldest go
BATCH = 500
PER_MINUTE = 240  # steps of one address in one process: some twenty attempts
AGAIN = timedelta(hours=6)  # how often the routine of one connection is news
REMEMBERED = 10_000
LINK_BYTES = 8

log = structlog.get_logger("gatehouse.traces")


@dataclass(slots=True)
class Draft:
    """What is known so far of the request that is being answered. `keep` is False for routine."""

    error: str | None = None
    description: str | None = None
    client_id: str | None = None
    client_name: str | None = None
    user_id: str | None = None
    connection_id: str | None = None
    linked: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    keep: bool = True


drafted: ContextVar[Draft | None] = ContextVar("drafted", default=None)


def note(
    *,
    error: str | None = None,
    description: str | None = None,
    client_id: str | None = None,
    client_name: str | None = None,
    user_id: str | None = None,
    connection_id: str | None = None,
    link: str | None = None,
    keep: bool | None = None,
    **facts: object,
) -> None:
    """Adds to the draft of this request; a value already there is replaced, None changes nothing.

    `link` is a value that the steps of one authorization share; only a keyed hash of it is kept. Facts are strings,
    numbers, booleans or lists of strings, and never a secret.
    """
    draft = drafted.get()
    if draft is None:
        return
    draft.error = error or draft.error
    draft.description = description or draft.description
    draft.client_id = client_id or draft.client_id
    draft.client_name = client_name or draft.client_name
    draft.user_id = user_id or draft.user_id
    draft.connection_id = connection_id or draft.connection_id
    draft.keep = draft.keep if keep is None else keep
    if link:
        draft.linked.append(link)
    if facts:
        draft.facts.update({name: value for name, value in facts.items() if value is not None})


class Traces:
    """The steps of this process that are not written yet. A flood, or a database that is away, costs the oldest of them."""

    def __init__(self, pool: HotPool, mac: Callable[[bytes], bytes], *, on: bool) -> None:
        self.on = on
        self._pool = pool
        self._mac = mac
        self._waiting: deque[Step] = deque(maxlen=WAITING)
        self._writing = asyncio.Lock()
        self._dropped = 0  # pushed out of the queue
        self._refused = 0  # too many from one address
        self._minute = 0
        self._counts: dict[str, int] = {}
        self._news: dict[str, datetime] = {}

    def has_room(self, address: str, now: datetime) -> bool:
        """Counts a step of this address; False when it has had its share of this minute."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        count = self._counts.get(address, 0)
        if count >= PER_MINUTE:
            self._refused += 1
            return False
        self._counts[address] = count + 1
        return True

    def is_news(self, key: str, now: datetime) -> bool:
        """True once in AGAIN for each key: the first call and the first refresh of a connection, not every one."""
        seen = self._news.get(key)
        if seen is not None and abs(now - seen) < AGAIN:
            return False
        self._news.pop(key, None)
        if len(self._news) >= REMEMBERED:
            del self._news[next(iter(self._news))]
        self._news[key] = now
        return True

    def add(self, step: Step) -> None:
        if len(self._waiting) == WAITING:
            self._dropped += 1
        self._waiting.append(step)

    def links(self, draft: Draft) -> tuple[str, ...]:
        return tuple(self._mac(value.encode("utf-8", "replace"))[:LINK_BYTES].hex() for value in draft.linked)

    async def flush(self) -> None:
        """Writes what waits, one caller at a time: two would write the same steps, and forget others. Raises the database's
        errors, having forgotten nothing."""
        async with self._writing:
            while self._waiting:
                await self._write(list(islice(self._waiting, BATCH)))

    async def _write(self, batch: list[Step]) -> None:
        dropped = self._dropped
        try:
            await store.write(self._pool, batch)
        except UNAVAILABLE:
            raise
        except Exception as fault:
            log.error("steps not written", exc_info=fault, count=len(batch))
        for _ in range(len(batch) - (self._dropped - dropped)):  # what was pushed out meanwhile has gone already
            self._waiting.popleft()

    async def keep_flushing(self) -> None:
        """Runs until cancelled."""
        told = 0
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except UNAVAILABLE as fault:
                log.warning("steps not written yet", error=type(fault).__name__, waiting=len(self._waiting))
            if self._dropped + self._refused > told:
                told = self._dropped + self._refused
                log.warning("steps not recorded", dropped=self._dropped, refused=self._refused)

"""Charges of a busy process go to Postgres together: while one statement is on its way, the next ones gather for another.

An idle process sends each charge by itself and at once. Those that gathered are taken a budget at a time, all of its charges or
none, so that one row is written once for all of them; where they do not all fit, each is asked for by itself, as if it had come alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

from app.db.engine import HotPool, is_unavailable
from app.metering import store
from app.metering.model import Asked

LANES = (
    2  # statements on their way at a time; a budget has always the same one, so that none waits for a row of another's
)
MOST = 64  # charges in one statement


class Till:
    """For one event loop."""

    def __init__(self, pool: HotPool) -> None:
        self.pool = pool
        self._lanes = [_Lane(pool) for _ in range(LANES)]

    async def charge(self, asked: Asked) -> Any:
        """The new entry; None when the key has one already, or nothing could be taken."""
        return await self._lanes[hash(asked.budget_id) % LANES].charge(asked)


class _Lane:
    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._waiting: list[tuple[Asked, asyncio.Future[Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_busy = False

    async def charge(self, asked: Asked) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if not self._is_busy:
            self._is_busy = True
            self._begin(self._work())
        return await answer

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._take(self._next())
        finally:
            self._is_busy = False

    def _next(self) -> dict[tuple[str, str], tuple[Asked, asyncio.Future[Any]]]:
        """Each key of a budget once: the second of two waits for the first."""
        chosen: dict[tuple[str, str], tuple[Asked, asyncio.Future[Any]]] = {}
        later: list[tuple[Asked, asyncio.Future[Any]]] = []
        for one in self._waiting[:MOST]:
            name = (one[0].budget_id, one[0].key)
            if name in chosen:
                later.append(one)
            else:
                chosen[name] = one
        self._waiting[:MOST] = later
        return chosen

    async def _take(self, chosen: dict[tuple[str, str], tuple[Asked, asyncio.Future[Any]]]) -> None:
        if len(chosen) == 1:
            return await self._alone(*next(iter(chosen.values())))
        try:
            for row in await store.charge_many(self._pool, [asked for asked, _ in chosen.values()]):
                _tell(chosen.pop((row["budget_id"], row["key"]))[1], row)
        except Exception as fault:
            if is_unavailable(fault):
                for _, answer in chosen.values():
                    _tell(answer, fault)
                return
            # One of them cannot be stored, and takes none of the others with it: each by itself.
        for asked, answer in chosen.values():
            self._begin(self._alone(asked, answer))

    async def _alone(self, asked: Asked, answer: asyncio.Future[Any]) -> None:
        try:
            _tell(answer, await store.charge(self._pool, asked))
        except Exception as fault:
            _tell(answer, fault)


def _tell(answer: asyncio.Future[Any], what: Any) -> None:
    """Unless nobody waits for it any longer."""
    if answer.done():
        return
    if isinstance(what, Exception):
        answer.set_exception(what)
    else:
        answer.set_result(what)

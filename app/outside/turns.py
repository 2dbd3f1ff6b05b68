"""Whose turn it is to fetch: so many at once, of which one caller and one domain have a share, so that slow ones hold up few others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

AT_ONCE = 16
SHARE = 4  # of them, for one caller, and for one domain
PATIENCE = 2.0  # seconds until a turn has to come

T = TypeVar("T")


class Crowded(Exception):
    """No turn came: that says nothing of what was to be fetched."""


class Turn:
    """`given` is given back when it is over, which is not before its thread has returned."""

    def __init__(self, threads: Executor) -> None:
        self.given = ExitStack()
        self._threads = threads
        self._thread: Future[Any] | None = None

    async def in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """What blocks. A thread cannot be ended: it goes on when nobody waits for it any more, and so does the turn."""
        self._thread = self._threads.submit(work, *arguments)
        return await asyncio.wrap_future(self._thread)

    def over(self) -> None:
        if self._thread is None or self._thread.done():
            self.given.close()
            return
        loop = asyncio.get_running_loop()

        def returned(thread: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits for a turn
                loop.call_soon_threadsafe(self.given.close)

        self._thread.add_done_callback(returned)


class Turns:
    """A caller past its share is turned away at once: others may wait for the very document that it asked for. A domain's wait
    in line: a popular one is asked for by many. Names that are looked up slowly hold their turn for as long as that takes."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "resolve")
        self._all = asyncio.Semaphore(AT_ONCE)
        self._domains: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._callers: Counter[str] = Counter()

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def turn(self, caller: str | None, host: str) -> AsyncIterator[Turn]:
        """Raises Crowded."""
        turn = Turn(self._threads)
        try:
            if caller is not None:
                self._count(caller, turn)
            domain = self._domains.setdefault(domain_of(host), asyncio.Semaphore(SHARE))
            async with asyncio.timeout(PATIENCE):
                for line in (domain, self._all):
                    await line.acquire()
                    turn.given.callback(line.release)
        except TimeoutError:
            turn.over()
            raise Crowded from None
        except BaseException:
            turn.over()
            raise
        try:
            yield turn
        finally:
            turn.over()

    def _count(self, caller: str, turn: Turn) -> None:
        if self._callers[caller] >= SHARE:
            raise Crowded
        self._callers[caller] += 1
        turn.given.callback(self._uncount, caller)

    def _uncount(self, caller: str) -> None:
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]


def domain_of(host: str) -> str:
    """Whoever has one has any number of names below it."""
    return ".".join(host.lower().rstrip(".").split(".")[-2:])

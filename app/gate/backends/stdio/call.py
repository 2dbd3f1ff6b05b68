"""One request on its way: what the server says of it until it is answered, with a bound on what waits to be passed on."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from app.gate.backends.stdio.faults import Fault

NEWS = 256  # notifications that wait for a slow reader; more are dropped
Json = dict[str, Any]


class Call:
    """`number` is its id at the server; `origin` names it among its caller's own; `token` is the caller's progress token.

    `answer` is the server's message, or why there is none. Times are the loop's, in seconds.
    """

    __slots__ = ("_loop", "_woken", "answer", "deadline", "latest", "left", "news", "number", "origin", "token")

    def __init__(self, number: int, origin: object, token: str | int | None) -> None:
        self.number = number
        self.origin = origin
        self.token = token
        self.answer: Json | Fault | None = None
        self.news: deque[Json] = deque()
        self.left = False  # nobody waits for it any more
        self.deadline = 0.0  # which progress puts off
        self.latest = 0.0  # but not beyond this
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] | None = None

    def answered(self, answer: Json | Fault) -> None:
        if self.answer is None:
            self.answer = answer
            self._wake()

    def tell(self, notification: Json) -> None:
        if len(self.news) < NEWS:
            self.news.append(notification)
            self._wake()

    def leave(self) -> None:
        self.left = True
        self._wake()

    async def wait(self, seconds: float) -> bool:
        """Until something has happened; False when nothing has for so long."""
        if not self._has_happened():
            self._woken = self._loop.create_future()
            timer = self._loop.call_later(seconds, self._wake)
            try:
                await self._woken
            finally:
                timer.cancel()
                self._woken = None
        return self._has_happened()

    def _has_happened(self) -> bool:
        return self.answer is not None or bool(self.news) or self.left

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

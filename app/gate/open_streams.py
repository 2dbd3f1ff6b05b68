"""Answers on their way out: 503 where a tool found its service away; and when the server stops, streams of events end with a hint
when to come again (HTML "Server-sent events": retry), and calls that nobody has answered by then are given up."""

from __future__ import annotations

import asyncio
import random
from time import perf_counter

from starlette.types import Message, Scope, Send

from app.gate.answers import SSE

GRACE_SECONDS = 1.0  # in which the backend may end it itself
SOONEST, LATEST = 500, 3000  # milliseconds; not everybody at once
LASTING = "subscriptions/listen"  # and GET: made to stay open
COMMENT = b":\n"  # a sign of life, which is part of no event


class OpenStream:
    """The `send` of one request behind the guard; of an answer that is no stream it sees the beginning only."""

    __slots__ = (
        "_calls",
        "_ended_here",
        "_open",
        "_send",
        "_state",
        "_tail",
        "_task",
        "_waiting",
        "answered_at",
        "is_lasting",
    )

    def __init__(self, send: Send, scope: Scope, open_ones: set[OpenStream], calls: set[OpenStream]) -> None:
        """It is among the `calls` until it is over, and among the `open_ones` while it is a stream."""
        self._send = send
        self._open = open_ones
        self._calls = calls
        self._tail: bytes | None = None  # the last bytes that went out; absent: no stream
        self._task: asyncio.Task[None] | None = asyncio.current_task()
        self._waiting: asyncio.TimerHandle | None = None
        self._ended_here = False
        self.answered_at: float | None = None  # by perf_counter
        self._state = scope["state"]
        message = self._state.get("message")
        calls.add(self)
        self.is_lasting = scope["method"] == "GET" or (isinstance(message, dict) and message.get("method") == LASTING)

    async def __call__(self, message: Message) -> None:
        if self._tail is None:
            if message["type"] == "http.response.start":
                self.answered_at = perf_counter()
                if "unavailable" in self._state:  # around the JSON-RPC error (RFC 9110 §15.6.4)
                    message["status"] = 503
                    message["headers"] = [*message["headers"], (b"retry-after", b"%d" % self._state["unavailable"])]
                if _is_stream(message):
                    self._tail = b"\n\n"
                    self._open.add(self)
            await self._send(message)
        elif not self._ended_here:
            await self._passed(message)

    async def _passed(self, message: Message) -> None:
        chunk = message.get("body", b"")
        if chunk:
            self._tail = _last((self._tail or b"") + chunk[-4:])
        if not message.get("more_body", False):
            self._open.discard(self)
            if self._waiting is not None:  # let go, and the backend has found its own last words
                self._waiting.cancel()
                message = {**message, "body": chunk + self._hint()}
        await self._send(message)

    def let_go(self) -> None:
        """Its end, by the backend within a moment or else here. More than once is as once."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end)

    def give_up(self) -> None:
        """For a call that was not answered at all: its task is cancelled, and tells its caller so."""
        if self.answered_at is None and self._task is not None:
            self._ended_here = True
            self._task.cancel()

    def finish(self) -> None:
        """The request is over, however it ended."""
        self._open.discard(self)
        self._calls.discard(self)
        if self._waiting is not None:
            self._waiting.cancel()

    def was_it_us(self) -> None:
        """For whoever caught a CancelledError: raises it again when somebody else had cancelled."""
        if not self._ended_here or self._task is None or self._task.uncancel():
            raise asyncio.CancelledError

    def _end(self) -> None:
        self._open.discard(self)
        self._ended_here = True
        if self._task is not None:
            last: Message = {"type": "http.response.body", "body": self._hint(), "more_body": False}
            asyncio.ensure_future(self._said(last, self._task))  # noqa: RUF006 - the request's task waits for it

    async def _said(self, last: Message, task: asyncio.Task[None]) -> None:
        try:
            await self._send(last)
        finally:
            task.cancel()

    def _hint(self) -> bytes:
        """Between two events only: in the middle of one it would be taken for a part of it."""
        if self._tail is None or not self._tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
            return b""
        return b"retry: %d\n\n" % random.randint(SOONEST, LATEST)  # noqa: S311


def _last(written: bytes) -> bytes:
    """The last bytes that say whether an event is complete."""
    while written.endswith((b"\n" + COMMENT, b"\r" + COMMENT)):
        written = written[: -len(COMMENT)]
    return written[-4:]


def _is_stream(start: Message) -> bool:
    for name, value in start["headers"]:
        if name == b"content-type" or name.lower() == b"content-type":
            return bool(value[:17] == SSE)
    return False

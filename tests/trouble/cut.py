"""A way to Postgres that is cut on request: between any two messages of the protocol, before or after the server acted on the last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

LENGTH = 4  # bytes of a message's length, which counts itself
TYPED = 1 + LENGTH
READY = b"Z"  # ReadyForQuery: the server has done what it was told, and committed what was to be
DESCRIBED = (b"T", b"n", READY)  # what ends the answer to a statement that was only prepared
NEVER = (b"",)
PREPARING = (b"P", b"D", b"H")


class Cut(Enum):
    """What becomes of the message at which the connection is cut."""

    UNSENT = "the server never sees it"
    UNANSWERED = "the server acts on it, and its answer is lost"


class Lost:
    """Once `until` is there, the answer goes nowhere, and with one of these messages the connection ends."""

    until: tuple[bytes, ...] = ()


class Line:
    """Listens at `port` and passes on to Postgres. `cut_at` says at which message from Gatehouse, counted from then on over
    all connections, one of them ends; `hold` swallows everything, as a network does that is gone."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._joined, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._left, self._how, self.is_cut = -1, Cut.UNSENT, False
        self._silent, self._words = False, b""
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def cut_at(self, number: int, how: Cut) -> None:
        self._left, self._how, self.is_cut = number, how, False

    def hold(self, silent: bool) -> None:
        self._silent = silent

    def lose(self, words: bytes) -> None:
        """The next message with these words, and everything after it on the same connection, which stays open."""
        self._words = words

    @property
    def has_lost(self) -> bool:
        return not self._words

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(3):  # turns of the loop in which the sockets are closed
            await asyncio.sleep(0)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, outer}
        lost = Lost()
        try:
            await asyncio.gather(self._asks(reader, outer, lost), self._answers(inner, writer, lost))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers -= {writer, outer}
            writer.transport.abort()
            outer.transport.abort()

    async def _asks(self, reader: asyncio.StreamReader, outer: asyncio.StreamWriter, lost: Lost) -> None:
        head = await reader.readexactly(LENGTH)  # the first message has no type
        outer.write(head + await reader.readexactly(int.from_bytes(head, "big") - LENGTH))
        while True:
            head = await reader.readexactly(TYPED)
            message = head + await reader.readexactly(int.from_bytes(head[1:], "big") - LENGTH)
            if self._words and self._words in message:
                self._words = b""
                lost.until = NEVER
            if self._silent or lost.until is NEVER:
                continue
            if self._left == 0:
                self._left, self.is_cut = -1, True
                if self._how is Cut.UNSENT:
                    raise ConnectionResetError
                lost.until = DESCRIBED if head[:1] in PREPARING else (READY,)
            elif self._left > 0:
                self._left -= 1
            outer.write(message)
            await outer.drain()

    async def _answers(self, inner: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: Lost) -> None:
        while True:
            head = await inner.readexactly(TYPED)
            message = head + await inner.readexactly(int.from_bytes(head[1:], "big") - LENGTH)
            if lost.until:
                if head[:1] in lost.until:
                    raise ConnectionResetError
                continue
            if not self._silent:
                writer.write(message)
                await writer.drain()


@contextmanager
def line(target: int) -> Iterator[Line]:
    opened = Line(target)
    try:
        yield opened
    finally:
        opened.close()

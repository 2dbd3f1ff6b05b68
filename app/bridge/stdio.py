"""The side of the program that started us: one JSON-RPC message a line (MCP "stdio"), and nothing else on standard output."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

CHUNK = 64 * 1024
LONGEST_LINE = 64 * 1024 * 1024
STDIN, STDOUT, STDERR = 0, 1, 2


class Gone(Exception):
    """Nobody reads standard output any more."""


async def lines() -> AsyncIterator[bytes]:
    """Standard input until it ends. A thread of its own reads it, since files and pipes cannot both be waited on everywhere."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(8)

    def read() -> None:
        with suppress(RuntimeError, OSError, asyncio.CancelledError):  # the loop is closed, or the pipe
            chunk = b"."
            while chunk:
                chunk = os.read(STDIN, CHUNK)
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()

    threading.Thread(target=read, daemon=True, name="stdin").start()
    parts: list[bytes] = []
    size = 0
    while chunk := await chunks.get():
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*parts, line])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > LONGEST_LINE:
            raise Gone
    if any(parts):
        yield b"".join(parts)


class Output:
    """Standard output, taken away from everybody else: what some library prints goes to standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.dup(STDOUT)
        os.dup2(STDERR, STDOUT)
        self._turn = asyncio.Lock()

    @property
    def is_writing(self) -> bool:
        return self._turn.locked()

    async def write(self, message: bytes) -> None:
        """One message. Waits as long as the reader is slow. Raises Gone."""
        await self._turn.acquire()
        # From here on it is written to its end, and keeps its turn so long, also when whoever wanted it gives up.
        writing = asyncio.create_task(self._written(message + b"\n"))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(writing)

    async def _written(self, line: bytes) -> None:
        try:
            await asyncio.to_thread(_all, self._file, line)
        except OSError:
            raise Gone from None
        finally:
            self._turn.release()


def _all(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]

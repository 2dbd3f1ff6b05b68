"""One server process: its input, output and error output, each bounded, and its end, for certain (MCP transports "stdio")."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio import BaseTransport, ReadTransport, SubprocessTransport, WriteTransport
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import cast

import structlog

from app.gate.backends.stdio.allowance import Allowance
from app.gate.backends.stdio.lines import Lines, TooLong
from app.gate.backends.stdio.minded import Minded
from app.gate.backends.stdio.said import Said

LINE_BYTES = 16 * 1024 * 1024  # of one message
IDLE_LINES, IDLE_LINES_AT_ONCE = 2_000, 8_000  # a second, and at once, that answer nobody
IDLE_BYTES, IDLE_BYTES_AT_ONCE = 8 << 20, 128 << 20
LONGEST_PAUSE = 10.0  # seconds
COMPLAINTS = 5  # a second
GRACE = 2.0  # seconds to end by itself, and then to end when told
LAST_WORDS = 0.5  # seconds in which what it said before it ended is still read
log = structlog.get_logger("gatehouse.stdio")


class Child(asyncio.SubprocessProtocol):
    """`heard` is given each line of its output; `gone` is told once, in words, why nothing more will come."""

    def __init__(
        self, resource: str, heard: Callable[[bytes | TooLong], None], gone: Callable[[str], None], minded: Minded
    ) -> None:
        self._resource = resource
        self._heard = heard
        self._gone: Callable[[str], None] | None = gone
        self._minded = minded
        self._loop = asyncio.get_running_loop()
        self._lines = Lines(LINE_BYTES)
        self.complaints = Allowance(COMPLAINTS, 4 * COMPLAINTS)  # of ours in the log
        self._idle_lines = Allowance(IDLE_LINES, IDLE_LINES_AT_ONCE)
        self._idle_bytes = Allowance(IDLE_BYTES, IDLE_BYTES_AT_ONCE)
        self._unread: Iterator[bytes | TooLong] = iter(())
        self._pausing = False
        self._exited = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def start(self, command: tuple[str, ...], env: Mapping[str, str], cwd: str | None) -> None:
        """In a process group of its own. Raises OSError when there is no such program."""
        await self._minded.ready()
        await self._loop.subprocess_exec(lambda: self, *command, env=env, cwd=cwd, start_new_session=True)
        log.info("started", resource=self._resource, pid=self.pid)

    @property
    def pid(self) -> int:
        """Also the number of its group."""
        return self._transport.get_pid()

    async def write(self, line: bytes) -> None:
        """Waits while it reads nothing. To be given a time limit."""
        await self._writable.wait()
        self.write_now(line)

    def write_now(self, line: bytes) -> bool:
        """Returns False, and leaves it, when it reads nothing."""
        if not self._writable.is_set() or self._gone is None:
            return False
        self._input().write(line + b"\n")
        return True

    def talked(self, size: int, lines: int = 1) -> None:
        """What answered nobody. Whoever says too much of it is not read for a while."""
        now = self._loop.time()
        pause = max(self._idle_lines.charge(lines, now), self._idle_bytes.charge(size, now))
        if pause and not self._pausing:
            self._pausing = True
            self._pause(1, pause)

    async def end(self) -> None:
        """As the specification has it: its input ends, then SIGTERM, then SIGKILL, to all of its group."""
        self._gone = None
        with suppress(OSError):
            self._input().close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if await self._has_exited(GRACE):
                break
            self._signal(number)
        if not await self._has_exited(GRACE):
            log.error("does not end", resource=self._resource, pid=self.pid)
        self._signal(signal.SIGKILL)  # whom it left behind
        self._minded.discard(self.pid)
        with suppress(OSError):
            self._transport.close()

    def give_up(self, why: str) -> None:
        """Ends it without waiting for anything."""
        self._signal(signal.SIGKILL)
        self._is_gone(why)

    # What the event loop calls.

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("SubprocessTransport", transport)  # uvloop's has another class
        self._minded.add(self.pid)
        self._said = Said(self._resource, self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1 and self._gone is not None:
            if self._lines.skips:
                self.talked(len(data), 0)
            self._unread = chain(self._unread, self._lines.fed(data))
            self._read()
        elif fd == 1:
            pass  # nobody listens any more
        elif pause := self._said.heard(data, self._loop.time()):
            self._pause(fd, pause)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            # It may be about to end; then how it ended says more.
            self._loop.call_later(LAST_WORDS, self._is_gone, "closed its output")
        elif fd == 0:
            self._writable.set()

    def process_exited(self) -> None:
        self._exited.set()
        self._said.ended()
        code = self._transport.get_returncode()
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit status {code}"
        log.info("ended", resource=self._resource, pid=self.pid, how=how)
        output = self._transport.get_pipe_transport(1)
        closed = output is None or output.is_closing()
        self._loop.call_later(0 if closed else LAST_WORDS, self._is_gone, how)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _read(self) -> None:
        for line in self._unread:
            self._heard(line)
            if self._pausing:
                return  # the rest when it is over
        self._unread = iter(())

    def _is_gone(self, why: str) -> None:
        gone, self._gone = self._gone, None
        if gone is not None:
            self._writable.set()
            gone(why)

    def _input(self) -> WriteTransport:
        return cast("WriteTransport", self._transport.get_pipe_transport(0))

    def _pause(self, fd: int, seconds: float) -> None:
        pipe = cast("ReadTransport", self._transport.get_pipe_transport(fd))
        if not pipe.is_closing():
            pipe.pause_reading()
            self._loop.call_later(min(seconds, LONGEST_PAUSE), self._resume, fd, pipe)

    def _resume(self, fd: int, pipe: ReadTransport) -> None:
        if fd == 1:
            self._pausing = False
            if self._gone is not None:
                self._read()
        if not pipe.is_closing() and not (fd == 1 and self._pausing):
            pipe.resume_reading()

    async def _has_exited(self, within: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._exited.wait(), within)
        return self._exited.is_set()

    def _signal(self, number: int) -> None:
        with suppress(OSError):
            os.killpg(self.pid, number)

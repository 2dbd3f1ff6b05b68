"""The load: an HTTP/1.1 keep-alive client on raw sockets, 127.0.0.1 only, one request in flight per connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

CONNECTIONS = 32
SILENCE_SECONDS = 20.0  # a round that takes this much longer than it was given has failed

Script = Generator[bytes, bytes, None]  # yields requests, is sent the body of each answer; one per connection


@dataclass(frozen=True, slots=True)
class Task:
    """What one connection after the other sends, and how a good answer is told from a bad one."""

    script: Callable[[int], Script]  # given the number of the connection
    status: int
    marker: bytes  # is in every good answer, head or body


@dataclass(frozen=True, slots=True)
class Measured:
    """One round. `latencies` are in seconds, sorted."""

    seconds: float
    latencies: list[float]

    @property
    def count(self) -> int:
        return len(self.latencies)

    def percentile(self, part: float) -> float:
        return self.latencies[min(self.count - 1, int(self.count * part))]


class BadAnswer(Exception):
    """The server answered something else than the task wants, or not at all."""


class Round:
    """The state that the connections of a round share."""

    def __init__(self, task: Task, seconds: float, most: int) -> None:
        self.task = task
        self.left = most
        self.latencies: list[float] = []
        self.over = asyncio.get_running_loop().create_future()
        self.busy = 0
        self._seconds = seconds
        self._deadline = 0.0

    def begin(self) -> None:
        self._deadline = time.perf_counter() + self._seconds

    def may_send(self) -> bool:
        if self.left <= 0 or time.perf_counter() >= self._deadline:
            return False
        self.left -= 1
        return True

    def settled(self, connection_done: bool, fault: Exception | None = None) -> None:
        self.busy -= connection_done
        if not self.over.done():
            if fault is not None:
                self.over.set_exception(fault)
            elif self.busy == 0:
                self.over.set_result(None)


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends, waits for the whole answer, sends the next."""

    def __init__(self, run: Round, slot: int) -> None:
        self._run = run
        self._script = run.task.script(slot)
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.over.done():
            self._run.settled(True, BadAnswer(f"the server closed a connection: {exc}"))

    def start(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._send(next(self._script, None))

    def end(self) -> None:
        self._script.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        received, task = self._received, self._run.task
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = content_length(received[:head_end])
        if length is not None and len(received) < head_end + 4 + length:
            return
        self._run.latencies.append(time.perf_counter() - self._sent_at)
        if length is None or int(received[9:12]) != task.status or task.marker not in received:
            self._run.settled(True, BadAnswer(received[:600].decode(errors="replace")))
            return
        self._received = b""
        try:
            request = self._script.send(received[head_end + 4 :])
        except StopIteration:
            request = None
        self._send(request)

    def _send(self, request: bytes | None) -> None:
        if request is None or not self._run.may_send():
            self._run.settled(True)
            return
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def content_length(head: bytes) -> int | None:
    """None when it is not said: a chunked answer or a stream, which this client does not read."""
    lowered = head.lower()
    place = lowered.find(b"\r\ncontent-length:")
    return None if place < 0 else int(lowered[place + 17 :].split(b"\r\n", 1)[0])


async def drive(
    task: Task,
    port: int,
    *,
    seconds: float,
    most: int,
    connections: int = CONNECTIONS,
    mark: Callable[[], None] = lambda: None,
) -> Measured:
    """One round. `mark` is called right before the first request and right after the last answer. Raises BadAnswer."""
    run = Round(task, seconds, most)
    loop = asyncio.get_running_loop()
    opened: list[tuple[asyncio.Transport, Connection]] = []
    try:
        for slot in range(connections):
            opened.append(await loop.create_connection(partial(Connection, run, slot), "127.0.0.1", port))
        run.busy = len(opened)
        mark()
        run.begin()
        began = time.perf_counter()
        for transport, connection in opened:
            connection.start(transport)
        await asyncio.wait_for(run.over, seconds + SILENCE_SECONDS)
        took = time.perf_counter() - began
        mark()
    except TimeoutError as fault:
        raise BadAnswer("no answer for a long time") from fault
    finally:
        for transport, connection in opened:
            connection.end()
            transport.close()
    return Measured(took, sorted(run.latencies))

"""Who comes while the server soaks: everybody at once, each at a steady rate, and some of them rude (bench/soak)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from bench.load import BadAnswer, content_length
from bench.scene import Scene

PATIENCE_SECONDS = 30.0
IDLE_SECONDS = 10.0  # the server closes what is unused for 15, perhaps just when somebody writes
MOST_AT_ONCE = 400
FIELD = r'name="{}" value="([^"]*)"'


Idle = tuple[asyncio.StreamReader, asyncio.StreamWriter, float]  # since when


class Unwell(Exception):
    """The server said 503: this visit is over."""


@dataclass
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def json(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.body)
        return found

    @property
    def location(self) -> str:
        found = re.search(rb"(?i)\r\nlocation: ([^\r]*)", self.head)
        return found[1].decode() if found else ""

    def hidden(self, name: str) -> str:
        found = re.search(FIELD.format(name), self.body.decode())
        if found is None:
            raise BadAnswer(f"no field {name}: {self.body[:300]!r}")
        return found[1]


@dataclass
class Visitors:
    """What they share: the connections, the tokens that some of them use, and what they saw."""

    scene: Scene
    tokens: deque[str] = field(default_factory=lambda: deque(maxlen=100))  # fresh ones; of the tools
    seconds: list[float] = field(default_factory=list)  # until the answer was there
    asked: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    unwell: int = 0  # answered with 503
    faults: list[str] = field(default_factory=list)
    under_way: set[asyncio.Task[None]] = field(default_factory=set)
    opened: set[asyncio.StreamWriter] = field(default_factory=set)
    _idle: list[Idle] = field(default_factory=list)

    async def ask(self, sent: bytes, *statuses: int) -> Answer:
        """From somewhere in the world. Raises BadAnswer for a status that is none of these (without any: 200)."""
        reader, writer = await self._connection()
        began = time.perf_counter()
        writer.write(from_somewhere(sent))
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            status, length = int(head[9:12]), content_length(head)
            has_chunks = b"transfer-encoding: chunked" in head.lower()
            body = await (_chunks(reader) if has_chunks else reader.readexactly(length or 0))
        self.seconds.append(time.perf_counter() - began)
        self.answers += 1
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self._idle.append((reader, writer, time.perf_counter()))
        if status == 503:
            self.unwell += 1
            raise Unwell
        if status not in (statuses or (200,)):
            raise BadAnswer(f"{sent.splitlines()[0]!r}: {status} {body[:300]!r}")
        return Answer(status, head, body)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        now = time.perf_counter()
        while self._idle:
            reader, writer, since = self._idle.pop()
            if now - since < IDLE_SECONDS and not reader.at_eof():
                return reader, writer
            writer.close()
        return await self._open()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.scene.port)
        self.opened.add(writer)
        return reader, writer

    def connections(self) -> int:
        """Those that are open, as seen from here."""
        for reader, writer, _ in self._idle:
            if reader.at_eof():
                writer.close()
        self._idle = [one for one in self._idle if not one[1].is_closing()]
        self.opened = {writer for writer in self.opened if not writer.is_closing()}
        return len(self.opened)

    @asynccontextmanager
    async def rudely(self, sent: bytes) -> AsyncIterator[asyncio.StreamReader]:
        """A connection of its own, closed whatever is still to come."""
        reader, writer = await self._open()
        try:
            writer.write(from_somewhere(sent))
            yield reader
        finally:
            writer.transport.abort()

    async def come(self, visits: list[Visit], until: float) -> None:
        """All of them, each as often as it says, until this moment (time.monotonic)."""
        await asyncio.gather(*(self._one_after_the_other(visit, until) for visit in visits))
        await asyncio.wait(self.under_way, timeout=PATIENCE_SECONDS) if self.under_way else None
        for task in list(self.under_way):
            task.cancel()

    async def _one_after_the_other(self, visit: Visit, until: float) -> None:
        began = time.monotonic() + random.random() / visit.per_second
        for number in count():
            due = began + number / visit.per_second
            if due >= until:
                return
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(self.under_way) >= MOST_AT_ONCE:
                self.asked["put off"] += 1
                continue
            self.asked[visit.name] += 1
            self.begin(visit.pay(), visit.name)

    def begin(self, visit: Awaitable[object], name: str = "") -> None:
        """What goes wrong is noted."""
        task = asyncio.create_task(self._paid(visit, name))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _paid(self, visit: Awaitable[object], name: str) -> None:
        try:
            await visit
        except Unwell:
            pass
        except (BadAnswer, OSError, TimeoutError, asyncio.IncompleteReadError, KeyError, ValueError) as fault:
            self.faults.append(f"{name}: {type(fault).__name__}: {fault}")

    def token(self) -> str:
        if not self.tokens:
            raise BadAnswer("nobody has a token")
        return random.choice(self.tokens)


@dataclass(frozen=True)
class Visit:
    """`pay` is one visit, which may be many requests."""

    name: str
    per_second: float
    pay: Callable[[], Awaitable[object]]


def from_somewhere(sent: bytes) -> bytes:
    """Some thousands of addresses, so that nobody is told to wait."""
    first, rest = sent.split(b"\r\n", 1)
    address = f"10.{random.randrange(8)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    return b"%s\r\nX-Forwarded-For: %s\r\n%s" % (first, address.encode(), rest)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).strip() or b"0", 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body

"""Remote backends: what the way through Gatehouse adds to a small call, to an event and to memory, beside the backend reached directly."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench import proc
from bench.jobs import LEGACY, MODERN, call, request, same
from bench.load import BadAnswer, drive
from bench.servers import Child

WORDS = "remote backend"  # by which `--only` finds this
CPU_PERCENT, LATE_MS, RESIDENT_MIB, GROWN_MIB = 25.0, 5.0, 200.0, 16.0
IDLE_STREAMS = 1000
EVENTS = 200
LONG_BYTES = 400_000_000
MOST = 1_000_000
AT = re.compile(rb'"at": ([0-9.]+)')
MARKER = b'"structuredContent"'


@dataclass(slots=True)
class Remote:
    """A figure for each round; microseconds of processors a call, milliseconds from the backend's write to the caller's read."""

    direct_us: dict[str, list[float]] = field(default_factory=dict)  # the backend's, by wire era
    backend_us: dict[str, list[float]] = field(default_factory=dict)  # the same, reached through Gatehouse
    gatehouse_us: dict[str, list[float]] = field(default_factory=dict)
    full_us: dict[str, list[float]] = field(
        default_factory=dict
    )  # Gatehouse's, its core full: the backend answers at once
    raw_us: dict[str, list[float]] = field(
        default_factory=dict
    )  # the same, where the answer is Gatehouse's own: nothing is passed on
    direct_late_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    before_mib: float | None = None
    idle_mib: float | None = None  # resident, with IDLE_STREAMS
    long_mib: float | None = None  # what one stream of LONG_BYTES has added

    def proxy_percent(self, era: str) -> float | None:
        """What passing a call on adds to it, beside what the backend takes for it when it is reached directly. At a full core,
        since a process that sleeps between two requests takes up to twice as long for each."""
        if not self.direct_us.get(era) or not self.full_us.get(era):
            return None
        passing = statistics.median(full - raw for full, raw in zip(self.full_us[era], self.raw_us[era], strict=True))
        return passing / statistics.median(self.direct_us[era]) * 100

    @property
    def lateness_ms(self) -> float:
        """Of the first byte, more than directly."""
        return statistics.median(self.late_ms) - statistics.median(self.direct_late_ms)

    def __str__(self) -> str:
        calls = "; ".join(
            f"{era}: {statistics.median(self.direct_us[era]):.0f} µs directly, through Gatehouse "
            f"{statistics.median(self.backend_us[era]):.0f} in the backend and {statistics.median(self.gatehouse_us[era]):.0f} in Gatehouse"
            for era in self.direct_us
            if self.direct_us[era]
        )
        full = "; ".join(
            f"{era}: {statistics.median(self.full_us[era]):.0f} in Gatehouse, {statistics.median(self.raw_us[era]):.0f} of them "
            f"for HTTP and the guard"
            for era in self.full_us
            if self.full_us[era]
        )
        late = sorted(self.late_ms)
        return (
            f"Remote backend, processors a small call with connections kept: {calls}. Where the backend takes no time, so "
            f"that Gatehouse's core is full: {full}. An event arrives "
            f"{statistics.median(late):.2f} ms after the backend sent it (p99 {late[int(len(late) * 0.99)]:.2f}), "
            f"directly {statistics.median(self.direct_late_ms):.2f}. Resident: {self.before_mib or 0:.0f} MiB, "
            f"with {IDLE_STREAMS} idle streams {self.idle_mib or 0:.0f}; a stream of {LONG_BYTES // 1_000_000} MB adds "
            f"{self.long_mib or 0:.1f}."
        )


def file_of(**backend: str) -> str:
    """gatehouse.toml with this backend (`url` or `python`), at the address where the built-in tools are otherwise."""
    scopes = 'scopes = { read = "Read", write = "Write" }\ndefault = ["read", "write"]\nneeds = ["read"]'
    (kind, value), *_ = backend.items()
    return f'[resources.remote]\npath = "/mcp"\ntitle = "Remote"\n{kind} = "{value}"\n{scopes}\n'


async def calls(found: Remote, gatehouse: Child, backend: Child, token: str, rounds: int, seconds: float) -> None:
    """Small calls, directly and through, within seconds of each other. Raises BadAnswer."""
    for era in (LEGACY, MODERN):
        for figures in (found.direct_us, found.backend_us, found.gatehouse_us):
            figures[era] = []
    for number in range(-1, rounds):  # the first is to warm up
        for era in (LEGACY, MODERN):
            direct = same(call(backend.port, token, era), 200, MARKER)
            through = same(call(gatehouse.port, token, era), 200, MARKER)
            marks: list[tuple[float | None, float | None]] = []

            def mark(into: list[tuple[float | None, float | None]] = marks) -> None:
                into.append((proc.server_seconds(backend.pid), proc.server_seconds(gatehouse.pid)))

            alone = await drive(direct, backend.port, seconds=seconds, most=MOST, mark=mark)
            both = await drive(through, gatehouse.port, seconds=seconds, most=MOST, mark=mark)
            if number < 0 or any(None in one for one in marks):
                continue
            (b0, _), (b1, _), (b2, g2), (b3, g3) = [(one[0] or 0.0, one[1] or 0.0) for one in marks]
            found.direct_us[era].append((b1 - b0) / alone.count * 1e6)
            found.backend_us[era].append((b3 - b2) / both.count * 1e6)
            found.gatehouse_us[era].append((g3 - g2) / both.count * 1e6)


async def quick(found: Remote, proxy: Child, raw: Child, tokens: tuple[str, str], rounds: int, seconds: float) -> None:
    """Small calls that are answered at once, by a backend and by `raw` itself: it is Gatehouse whose core is full. Raises BadAnswer."""
    for era in (LEGACY, MODERN):
        for server, token, figures in ((proxy, tokens[0], found.full_us), (raw, tokens[1], found.raw_us)):
            figures[era] = []
            await drive(same(call(server.port, token, era), 200, MARKER), server.port, seconds=seconds, most=MOST)
    for _ in range(rounds):
        for era in (LEGACY, MODERN):
            for server, token, figures in ((proxy, tokens[0], found.full_us), (raw, tokens[1], found.raw_us)):
                before = proc.server_seconds(server.pid) or 0.0
                task = same(call(server.port, token, era), 200, MARKER)
                measured = await drive(task, server.port, seconds=seconds, most=MOST)
                figures[era].append(((proc.server_seconds(server.pid) or 0.0) - before) / measured.count * 1e6)


async def streams(found: Remote, gatehouse: Child, backend: Child, token: str) -> None:
    """Lateness of an event, and memory. Raises BadAnswer."""
    for port, late in ((backend.port, found.direct_late_ms), (gatehouse.port, found.late_ms)):
        async with connected(port) as (reader, writer):
            for _ in range(EVENTS):
                late.append(await _lateness(reader, writer, asked(port, token)))
    found.before_mib = proc.resident_mib(gatehouse.pid)
    async with connected(gatehouse.port) as (reader, writer):
        writer.write(asked(gatehouse.port, token, length=LONG_BYTES))
        await _through(reader, b"0\r\n\r\n")
        after = proc.resident_mib(gatehouse.pid)
        found.long_mib = None if after is None or found.before_mib is None else after - found.before_mib
    found.idle_mib = await _with_idle(gatehouse, token)


async def _with_idle(gatehouse: Child, token: str) -> float | None:
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {token}", "mcp_protocol_version": LEGACY}
    opened = []
    try:
        for _ in range(IDLE_STREAMS):
            reader, writer = await asyncio.open_connection("127.0.0.1", gatehouse.port)
            opened.append(writer)
            writer.write(request("GET", "/mcp", gatehouse.port, b"", **headers))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            if b"text/event-stream" not in head:
                raise BadAnswer(head.decode(errors="replace"))
        await asyncio.sleep(2)  # until each is looked after
        return proc.resident_mib(gatehouse.pid)
    finally:
        for writer in opened:
            writer.close()


def asked(port: int, token: str, **params: int) -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", **params}}
    body, headers = json.dumps(message).encode(), {"accept": "application/json, text/event-stream"}
    headers |= {"content_type": "application/json", "authorization": f"Bearer {token}"}
    return request("POST", "/mcp", port, body, **headers)


async def _lateness(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> float:
    """Milliseconds: the clock is the same in both processes."""
    writer.write(sent)
    text = await asyncio.wait_for(reader.readuntil(b"}}\n\n"), 20)
    now = time.perf_counter()
    found = AT.search(text)
    if found is None:
        raise BadAnswer(text.decode(errors="replace"))
    await reader.readuntil(b"0\r\n\r\n")
    return (now - float(found[1])) * 1000


async def _through(reader: asyncio.StreamReader, end: bytes) -> None:
    tail = b""
    while not tail.endswith(end):
        chunk = await asyncio.wait_for(reader.read(1 << 20), 20)
        if not chunk:
            raise BadAnswer("the stream ended early")
        tail = (tail + chunk)[-len(end) :]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()

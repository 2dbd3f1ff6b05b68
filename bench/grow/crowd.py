"""Open /mcp streams on one worker: memory for each, the processor while nothing happens, a call beside them, and their end at SIGTERM."""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console

from app.protocol.types import Authorization
from app.tokens.issue import access_token
from bench import cores, proc, tables
from bench.grow.growth import Plan, database, serve
from bench.grow.rows import identifier
from bench.grow.workers import shares
from bench.jobs import LEGACY, call, request
from bench.load import BadAnswer
from bench.remote import connected
from bench.running import gatehouse, prepared
from bench.scene import Scene
from bench.servers import Child, free_port

CALLERS, AT_ONCE, CALLS = 1000, 100, 2000  # whose streams they are; opened together; calls for a latency
IDLE_SECONDS, OPENED_SECONDS, GONE_SECONDS = 10.0, 120.0, 60.0
SPARE = 500  # files for all else
SCOPES = 'scopes = { read = "Read" }\ndefault = ["read"]\nneeds = ["read"]'
IN_PROCESS, REMOTE = "an app in the process", "a remote server"


@dataclass(slots=True)
class Crowd:
    """What was found; of both latencies the median and the 99th of 100, in milliseconds."""

    backend: str
    streams: int = 0
    opened_seconds: float = 0.0
    kib: float = 0.0  # for each stream
    idle_cores: float = 0.0  # with all of them open and silent
    alone: tuple[float, float] = (0.0, 0.0)
    beside: tuple[float, float] = (0.0, 0.0)
    gone_seconds: float = 0.0  # from SIGTERM until the last has ended
    ended_seconds: float = 0.0  # and until the process has
    hinted: int = 0  # ended with `retry:`


@dataclass(slots=True)
class Open:
    """What the listeners share."""

    heard: int = 0
    hinted: int = 0
    lost: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    fault: str = ""


class Listener(asyncio.Protocol):
    def __init__(self, opened: Open, sent: bytes) -> None:
        self._opened, self._sent = opened, sent
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._sent)  # type: ignore[attr-defined]  # uvloop's is no asyncio.Transport

    def data_received(self, data: bytes) -> None:
        if not self.heard.done():
            if b" 200 " not in data[:20]:
                self._opened.fault = data[:400].decode(errors="replace")
            self._opened.heard += 1
            self.heard.set_result(None)
        self._opened.hinted += b"retry:" in data

    def connection_lost(self, exc: Exception | None) -> None:
        self._opened.lost += 1
        if not self.heard.done():
            self._opened.fault = f"a stream was closed: {exc}"
            self.heard.set_result(None)
        if self._opened.lost == self._opened.heard:
            self._opened.gone.set()


def measure(place: Path, plan: Plan) -> None:
    place.mkdir(mode=0o711)
    ours, others = shares(1)
    chosen = cores.Cores(others, others, others)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = []
    with ExitStack() as stack:
        dsn, _ = stack.enter_context(database(place / "database", chosen))
        backend = stack.enter_context(gatehouse(place, "streams", dsn, chosen))
        cores.pin([0], others)
        # A remote server takes a second file for each, and Gatehouse keeps a third of all for it at most.
        kinds = {
            IN_PROCESS: ('python = "bench.grow.listening:app"', hard - SPARE),
            REMOTE: (_remote(backend.port), hard // 3 - SPARE),
        }
        for name, (line, most) in kinds.items():
            file = place / "listening.toml"
            file.write_text(f'[resources.listening]\npath = "/mcp"\ntitle = "Listening"\n{line}\n{SCOPES}\n')
            port = free_port()
            with serve(place, dsn, 1, port, resources_file=str(file), drain_notice="0") as server:
                cores.pin([server.pid], ours)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    found.append(runner.run(_measured(Crowd(name, min(plan.streams, most)), dsn, server)))
    show(found, (soft, hard), (sorted(ours), sorted(others)))


def _remote(port: int) -> str:
    return f'url = "http://127.0.0.1:{port}/mcp"\nconnections = 100000'


async def _measured(crowd: Crowd, dsn: str, server: Child) -> Crowd:
    async with prepared(dsn, server.port) as scene:
        asked = [
            request("GET", "/mcp", server.port, accept="text/event-stream", authorization=f"Bearer {token}")
            for token in _tokens(scene)
        ]
        sent = call(server.port, _tokens(scene, 1)[0], LEGACY)
        await _calls(server, sent)
        crowd.alone = await _calls(server, sent)
        before, opened = proc.resident_mib(server.pid) or 0.0, Open()
        began = time.perf_counter()
        await _open(crowd.streams, server, asked, opened)
        crowd.opened_seconds = time.perf_counter() - began
        await asyncio.sleep(2)  # until each is looked after
        crowd.kib = ((proc.resident_mib(server.pid) or 0.0) - before) * 1024 / crowd.streams
        used = proc.server_seconds(server.pid) or 0.0
        await asyncio.sleep(IDLE_SECONDS)
        crowd.idle_cores = ((proc.server_seconds(server.pid) or 0.0) - used) / IDLE_SECONDS
        crowd.beside = await _calls(server, sent)
        if opened.lost:
            raise BadAnswer(f"{opened.lost} streams were lost")
        await _end(crowd, server, opened)
        return crowd


def _tokens(scene: Scene, many: int = CALLERS) -> list[str]:
    issuer, now, ring = scene.world.settings.issuer, datetime.now(UTC), scene.world.live.ring
    whose = (
        Authorization(identifier("usr", number), scene.client_id, ("read",), f"{issuer}/mcp", via="api_key")
        for number in range(many)
    )
    return [access_token(who, ring, issuer, now=now, lifetime=3600) for who in whose]


async def _open(many: int, server: Child, asked: list[bytes], opened: Open) -> None:
    """Raises BadAnswer."""
    loop, turns = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with turns:
            _, listener = await loop.create_connection(
                lambda: Listener(opened, asked[number % len(asked)]), "127.0.0.1", server.port
            )
            await listener.heard

    async with asyncio.timeout(OPENED_SECONDS):
        await asyncio.gather(*(one(number) for number in range(many)))
    if opened.fault:
        raise BadAnswer(opened.fault)


async def _calls(server: Child, sent: bytes) -> tuple[float, float]:
    """One after the other, on one connection."""
    took = []
    async with connected(server.port) as (reader, writer):
        for _ in range(CALLS):
            began = time.perf_counter()
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            took.append((time.perf_counter() - began) * 1000)
            if b" 200 " not in head[:20]:
                raise BadAnswer(head.decode(errors="replace"))
    took.sort()
    return took[CALLS // 2], took[int(CALLS * 0.99)]


async def _end(crowd: Crowd, server: Child, opened: Open) -> None:
    began = time.perf_counter()
    server.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(GONE_SECONDS):
        await opened.gone.wait()
        crowd.gone_seconds = time.perf_counter() - began
        await asyncio.to_thread(server.process.wait)
    crowd.ended_seconds = time.perf_counter() - began
    crowd.hinted = opened.hinted


def show(found: list[Crowd], files: tuple[int, int], where: tuple[list[int], list[int]]) -> None:
    table = tables.figures("Open /mcp streams on one worker", "", *(f"behind it\n{one.backend}" for one in found))
    rows: dict[str, Callable[[Crowd], str]] = {
        "streams": lambda one: f"{one.streams:,}",
        "all open after, s": lambda one: f"{one.opened_seconds:.1f}",
        "memory a stream, KiB": lambda one: f"{one.kib:.1f}",
        "idle, of one core": lambda one: f"{one.idle_cores:.1%}",
        "a call without them, p50 / p99 ms": lambda one: "{:.2f} / {:.2f}".format(*one.alone),
        "a call beside them, p50 / p99 ms": lambda one: "{:.2f} / {:.2f}".format(*one.beside),
        "SIGTERM to the last stream's end, s": lambda one: f"{one.gone_seconds:.1f}",
        "SIGTERM to the process's end, s": lambda one: f"{one.ended_seconds:.1f}",
        "ended with retry:": lambda one: f"{one.hinted:,}",
    }
    for name, shown in rows.items():
        table.add_row(name, *(shown(one) for one in found))
    console = Console(width=110, highlight=False)
    console.print(table)
    console.print(
        f"GATEHOUSE_DRAIN_NOTICE is 0 here. Open files allowed: {files[0]:,}, at most {files[1]:,} (`ulimit -Hn`, LimitNOFILE): "
        f"one for each stream, two where the server behind is remote. Gatehouse on core {where[0]}, all else on {where[1]}."
    )

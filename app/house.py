"""What is served at which address, put together once, and changed while it runs when gatehouse.toml has changed: all or nothing."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Any

import structlog
from starlette.types import ASGIApp

from app.api_keys.callers import Callers
from app.gate.guard import Guard
from app.gate.stage import Opening
from app.gate.stages import Stages
from app.operate import logs
from app.resources.served import Resources
from app.settings.read import SettingsError
from app.urls import resource_table, url_table
from app.web.edge import Edge
from app.world import World

SETTLE_SECONDS = 0.3  # in which the server has closed its listeners
log = structlog.get_logger("gatehouse.resources")


class House:
    """One per process."""

    def __init__(self, world: World, callers: Callers, built_in: Opening, tools: Mapping[str, str]) -> None:
        self._world = world
        self._stages = Stages(world, callers, built_in, tools)
        self._table = url_table(world, callers)  # once: behind its doors is what this process counts and remembers
        self._edge: Edge | None = None
        self._changing = asyncio.Lock()
        world.measures.watch(lambda: (level for guard in self._stages.guards.values() for level in guard.levels()))

    @asynccontextmanager
    async def open(self, app: ASGIApp) -> AsyncIterator[Edge]:
        """Everything that is served, as long as it is; `app` answers where nobody else does. Raises what the start of a
        backend raises."""
        guards = await self._opened(self._world.resources)
        await self._stages.serve(guards)
        self._edge = Edge(self._doors(guards), app, self._world)
        try:
            yield self._edge
        finally:
            await self._stages.close()

    async def reload(self) -> bool:
        """Serves what gatehouse.toml says now. False, and a line in the log, when it has a fault or a backend does not start:
        then nothing changes."""
        async with self._changing:
            try:
                resources = self._world.listed.read()
                guards = await self._opened(resources)
            except SettingsError as fault:
                log.error("resources not reloaded", faults=str(fault).splitlines())
                return False
            except Exception as fault:
                log.error("resources not reloaded", faults=[f"{type(fault).__name__}: {fault}"])
                return False
            assert self._edge is not None
            self._world.listed.now = resources
            self._edge.serve(self._doors(guards))
            log.info("resources reloaded", served=[one.path for one in resources])
            await self._stages.serve(guards)
            return True

    def leave(self) -> None:
        """The first word of a stop: whoever asks whether this process is ready hears no, and all else goes on."""
        self._world.leaving.set()

    @property
    def is_leaving(self) -> bool:
        return self._world.leaving.is_set()

    def drain(self) -> None:
        """Nothing more is accepted: streams that would not end by themselves are let go, so that the server need not wait."""
        for guard in self._stages.guards.values():
            guard.stage.drain(lasting=True)

    def hurry(self) -> None:
        """The time is nearly over: streams that are still open end too, each with a hint when to come again."""
        for guard in self._stages.guards.values():
            guard.stage.drain(lasting=False)

    async def keep_reloading(self, heard: asyncio.Event) -> None:
        """Whenever it is set. Runs until cancelled."""
        while True:
            await heard.wait()
            heard.clear()
            await self.reload()

    async def _opened(self, resources: Resources) -> dict[str, Guard]:
        guards = await self._stages.open(resources)
        logs.configure(self._world.settings.log_level)  # once more: the SDK brings a handler of its own
        return guards

    def _doors(self, guards: Mapping[str, Guard]) -> Mapping[str, ASGIApp]:
        return {**resource_table(self._world, guards), **self._table}


@contextmanager
def on_hangup() -> Iterator[asyncio.Event]:
    """What is set by SIGHUP. But when that comes because the terminal was closed on which the server was started, it stops it,
    as ever. Where no signal can be heard, outside of the main thread, it stays as it is."""
    heard, had_terminal = asyncio.Event(), _has_terminal()

    def hear() -> None:
        if had_terminal and not _has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            heard.set()

    loop, listens = asyncio.get_running_loop(), False
    with suppress(ValueError, RuntimeError, NotImplementedError, AttributeError):
        loop.add_signal_handler(signal.SIGHUP, hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # a supervisor's worker is born deaf to it
        listens = True
    try:
        yield heard
    finally:
        if listens:
            loop.remove_signal_handler(signal.SIGHUP)


@contextmanager
def on_leaving(house: House, notice: float, patience: float) -> Iterator[None]:
    """SIGTERM first turns readiness off, for `notice` seconds, and only then reaches the server, which stops to accept; a
    second one reaches it at once, as SIGINT does. Streams end then, and `patience` seconds later all of them. Outside of
    the main thread nothing is heard."""
    loop, before = asyncio.get_running_loop(), dict[int, Any]()

    def stop(number: int, frame: FrameType | None) -> None:
        handler = before.get(number)
        if callable(handler):
            handler(number, frame)
        loop.call_later(SETTLE_SECONDS, house.drain)
        loop.call_later(max(patience - 1, SETTLE_SECONDS), house.hurry)

    def heard(number: int, frame: FrameType | None) -> None:
        waits = number == signal.SIGTERM and notice > 0 and not house.is_leaving
        house.leave()
        if waits:
            loop.call_soon_threadsafe(loop.call_later, notice, stop, number, frame)
        else:
            loop.call_soon_threadsafe(stop, number, frame)

    with suppress(ValueError):
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, heard)
    try:
        yield
    finally:
        for heard_of, handler in before.items():
            signal.signal(heard_of, handler)


def _has_terminal() -> bool:
    try:
        return sys.stdin.isatty()
    except (AttributeError, ValueError):
        return False

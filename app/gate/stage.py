"""A backend while it runs: opened and closed in one task of its own, and left only when the calls on it have ended."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gate.failed import failed
from app.gate.open_streams import OpenStream
from app.resources.model import Backend, CommandBackend, PythonBackend, Resource, UrlBackend
from app.world import World

Opening = Callable[[Resource, World], AbstractAsyncContextManager[ASGIApp]]

# Imported when there is such a backend: the others need not wait for it.
KINDS: dict[type[Backend], tuple[str, str, tuple[str, ...]]] = {
    PythonBackend: ("app.gate.backends.python", "mounted", ("POST",)),
    UrlBackend: ("app.gate.backends.url", "proxied", ("GET", "POST", "DELETE")),
    CommandBackend: ("app.gate.backends.command", "spoken_to", ("POST",)),
}
LOOK_SECONDS = 0.05

log = structlog.get_logger("gatehouse.gate")


class Stage:
    """`calls` are on it, of which `streams` stream their answer; `methods` are those that it wants to be asked with."""

    def __init__(self, resource: Resource, world: World, built_in: Opening) -> None:
        """`built_in` opens the tools that come with this program."""
        self.resource = resource
        self.app: ASGIApp = closed
        self.methods: tuple[str, ...] = ("POST",)
        self.calls: set[OpenStream] = set()
        self.streams: set[OpenStream] = set()
        self._world = world
        self._built_in = built_in
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def serves(self, resource: Resource) -> bool:
        """Whether this resource could have it as its backend."""
        ours = self.resource
        return (ours.name, ours.path, ours.audience, ours.backend) == (
            resource.name,
            resource.path,
            resource.audience,
            resource.backend,
        )

    async def open(self) -> None:
        """Raises what the backend's start raises."""
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(opened), name=f"backend of {self.resource.name}")
        await opened

    async def close(self, patience: float) -> None:
        """Ends it when nobody is on it any more, or after `patience` seconds."""
        self.drain(lasting=True)  # who listens would stay until then
        left = patience
        while self.calls and left > 0:
            await asyncio.sleep(LOOK_SECONDS)
            left -= LOOK_SECONDS
        self._over.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def drain(self, *, lasting: bool) -> None:
        """Streams are let go: those that were made to last, or all of them. A backend that can ends its own, in its own words;
        the others a moment later. With all of them go the calls that are not answered yet: there is no time left to."""
        if lasting and hasattr(self.app, "drain"):
            self.app.drain()
        for stream in tuple(self.streams):
            if stream.is_lasting or not lasting:
                stream.let_go()
        if not lasting:
            for call in self.calls - self.streams:
                call.give_up()

    async def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            opening, methods = self._opening()
            async with opening(self.resource, self._world) as app:
                self.app, self.methods = app, getattr(app, "methods", methods)
                opened.set_result(None)
                await self._over.wait()
        except Exception as fault:
            if not opened.done():
                opened.set_exception(fault)
            else:
                log.error("backend fell over", resource=self.resource.name, exc_info=fault)
        finally:
            self.app = closed

    def _opening(self) -> tuple[Opening, tuple[str, ...]]:
        if self.resource.backend is None:
            return self._built_in, ("POST",)
        module, name, methods = KINDS[type(self.resource.backend)]
        opening: Opening = getattr(importlib.import_module(module), name)
        return opening, methods


async def closed(scope: Scope, receive: Receive, send: Send) -> None:
    """A backend that is not there: JSON-RPC's internal error, and 503."""
    response = failed(scope, "the server behind this address is not running", 503)
    response.headers["Retry-After"] = "5"
    await response(scope, receive, send)

"""How a process is put together: the edge, the URL table, the guard in front of the tools, and what runs beside them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.admin.api.frame import unwell
from app.admin.api.router import router as admin_api
from app.api_keys.api import router as api_keys
from app.api_keys.callers import Callers
from app.clock import Clock
from app.db.engine import UNAVAILABLE
from app.gate import server
from app.gate.server import Build
from app.gate.tool import load_tools
from app.house import House, on_hangup, on_leaving
from app.language.catalogs import N_
from app.later.writing import keep_flushing
from app.operate.metrics import keep_measuring
from app.operate.sweep import keep_sweeping
from app.payments.quotes import keep_looking
from app.protocol.errors import NotFound, OAuthError
from app.settings.read import Settings, load
from app.tokens.rotate import ensure_key
from app.urls import patterns
from app.web.http import as_refusal, json_refusal
from app.web.pages import page_or_json
from app.world import World, world_of

FAREWELL_SECONDS = 10.0  # to write what waits to be written, when the server has stopped
NOTHING, WRONG_METHOD = N_("nothing is served at this address"), N_("this method is not allowed here")


def api_app(world: World, callers: Callers) -> FastAPI:
    """The JSON API, the addresses with a name in them, and the answer to every address that nobody serves."""
    app = FastAPI(
        title="Gatehouse", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.include_router(api_keys(world, callers))
    app.include_router(admin_api(world, callers))
    app.router.routes.extend(patterns(world, callers))

    async def refused(request: Request, fault: Exception) -> Response:
        return json_refusal(as_refusal(fault), request, world)

    async def nothing_here(request: Request, fault: Exception) -> Response:
        status = fault.status_code if isinstance(fault, HTTPException) else 404
        response = page_or_json(NotFound(NOTHING if status == 404 else WRONG_METHOD), request, world)
        response.status_code = status
        return response

    async def unreadable(request: Request, fault: Exception) -> Response:
        return json_refusal(unwell(fault.errors()[0]), request, world)  # type: ignore[attr-defined]

    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(OAuthError, refused)
    app.add_exception_handler(HTTPException, nothing_here)
    for kind in (*UNAVAILABLE, DBAPIError, Exception):  # each named: what only the last one catches is raised once more
        app.add_exception_handler(kind, refused)
    return app


class Gatehouse:
    """The ASGI app. Everything is built in the lifespan, in the process and loop that serves."""

    def __init__(self, settings: Settings, now: Callable[[], datetime], build: Build) -> None:
        self._settings = settings
        self._now = now
        self._build = build
        self._edge: ASGIApp | None = None
        self.world: World | None = None  # while it runs
        self.house: House | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            assert self._edge is not None, "the lifespan has not started"
            await self._edge(scope, receive, send)
        else:
            raise RuntimeError(f"{scope['type']} is not served")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        what = "startup"
        try:
            async with self._running():
                await send({"type": "lifespan.startup.complete"})
                what = "shutdown"
                await receive()
        except Exception as fault:
            await send({"type": f"lifespan.{what}.failed", "message": f"{type(fault).__name__}: {fault}"})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        # The signal is listened to before the file is read: so none is too early.
        with on_hangup() as heard:
            async with world_of(self._settings, self._now) as world, self._serving(world, heard):
                yield

    @asynccontextmanager
    async def _serving(self, world: World, heard: asyncio.Event) -> AsyncIterator[None]:
        self.world = world
        await ensure_key(world.db, world.secrets.signing_keys, world.now(), lifetime=world.token_lifetime)
        await world.live.load_keys()
        await world.live.catch_up()
        callers, tools = Callers(world), load_tools()
        scopes = {declared.name: declared.scope for declared in tools.values()}
        house = House(world, callers, lambda resource, world: server.running(self._build, world, tools), scopes)
        async with house.open(api_app(world, callers)) as edge, _traced(edge, world) as outermost:
            self._edge, self.house = outermost, house
            background = [asyncio.create_task(work) for work in (*self._background(world), house.keep_reloading(heard))]
            # What is there now stays: the collector need not walk it again for every few hundred calls.
            gc.collect()
            gc.freeze()
            try:
                with on_leaving(house, self._settings.drain_notice, self._settings.drain_seconds):
                    yield
            finally:
                await _ended(background)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                for flush in (world.post.settle, world.last_used.flush, world.tally.flush, world.traces.flush):
                    with suppress(Exception):
                        await flush()

    def _background(self, world: World) -> list[Coroutine[Any, Any, None]]:
        return [
            world.live.follow(self._settings.direct_dsn),
            keep_flushing(world.last_used.flush, "last uses"),
            keep_flushing(world.tally.flush, "counts"),
            world.traces.keep_flushing(),
            keep_sweeping(world),
            world.bodies.keep_looking(),
            keep_looking(world),
            keep_measuring(world),
        ]


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancelled until they are: with a database that is silent, a fault of its own may take the place of the cancellation."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=1)


def _traced(app: ASGIApp, world: World) -> AbstractAsyncContextManager[ASGIApp]:
    """Only where it is switched on is anything of it imported."""
    if not world.settings.otel:
        return nullcontext(app)
    from app.operate.tracing import traced

    return traced(app, world)


def create_app(
    settings: Settings | None = None, now: Callable[[], datetime] | None = None, build: Build = server.build
) -> Gatehouse:
    """An app of its own for each call; tests make as many as they like, with clocks of their own, and other tools behind the guard."""
    return Gatehouse(settings or load(), now or Clock(), build)

"""A backend in this process: a server of the SDK, a FastMCP or any ASGI app, with its lifespan (ASGI lifespan 2.0)."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gate.server import BODY_BYTES, UNGUARDED
from app.gate.services import away
from app.gate.tool import Caller
from app.resources.model import PythonBackend, Resource
from app.upstream.faults import Away
from app.upstream.vault.borrowed import Borrowed
from app.upstream.vault.fetch import NotConnected, NotOffered
from app.world import World

STATELESS = ("POST",)  # a stateless server has nothing to say unasked: GET would be an idle stream for ever


class Unmountable(Exception):
    """What the target names is not there, or is no server."""


@dataclass(frozen=True, slots=True)
class Visitor(Caller):
    """Of a server that knows nothing of us: what it does not catch reaches the caller in words of the SDK."""

    state: MutableMapping[str, Any]

    async def upstream(self, name: str, *scope: str) -> Borrowed:
        """Raises ToolError, with the address where to connect an account, and MCPError when the service is away."""
        try:
            return await Caller.upstream(self, name, *scope)
        except (NotConnected, NotOffered) as fault:
            raise ToolError(str(fault)) from fault
        except Away as fault:
            raise away(fault, self.state) from fault


class Inner:
    """An app at a path of its own; `methods` are those that it wants to be asked with."""

    def __init__(self, app: ASGIApp, path: str, methods: tuple[str, ...]) -> None:
        self._app = app
        self._path = path
        self._raw_path = path.encode()
        self.methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "path": self._path, "raw_path": self._raw_path}, receive, send)


@asynccontextmanager
async def mounted(resource: Resource, world: World) -> AsyncIterator[ASGIApp]:
    """The app, as long as its lifespan lasts. Raises Unmountable, and what its start raises."""
    backend = resource.backend
    assert isinstance(backend, PythonBackend)
    server, path = found(backend), backend.inner_path or resource.path
    if isinstance(server, (MCPServer, Server)):
        server.streamable_http_app(stateless_http=True, max_request_body_size=BODY_BYTES, transport_security=UNGUARDED)
        manager = server.session_manager  # without the app around it, which only finds its one path
        async with manager.run():
            yield _with_caller(manager.handle_request, world)
        return
    app, methods = _app(server, path)
    async with _lifespan(app, resource.name) as state:
        yield Inner(_with_caller(_with_state(app, state), world), path, methods)


def found(backend: PythonBackend) -> Any:
    """What the target names. Raises Unmountable."""
    module_name, _, attribute = backend.target.partition(":")
    if backend.folder is not None and backend.folder not in sys.path:
        sys.path.append(backend.folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as fault:  # whatever somebody else's module raises
        raise Unmountable(f"{module_name} cannot be imported: {type(fault).__name__}: {fault}") from fault
    server = getattr(module, attribute, None)
    if server is None:
        raise Unmountable(f"{module_name} has no {attribute}")
    if not callable(server) and not isinstance(server, (MCPServer, Server)) and not hasattr(server, "http_app"):
        raise Unmountable(f"{backend.target} is neither an MCPServer, a FastMCP nor an ASGI app")
    return server


def _app(server: Any, path: str) -> tuple[ASGIApp, tuple[str, ...]]:
    """A FastMCP makes an app of its own: stateless, so that any worker may answer."""
    if callable(getattr(server, "http_app", None)):
        return server.http_app(path=path, stateless_http=True), STATELESS
    return server, ("GET", "POST", "DELETE")


def _with_caller(app: ASGIApp, world: World) -> ASGIApp:
    """Who calls, for the server's own functions to find in `scope["state"]["caller"]`, beside the `principal`."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["caller"] = Visitor(scope["state"]["principal"], world, scope["state"])
        await app(scope, receive, send)

    return called


def _with_state(app: ASGIApp, state: dict[str, Any]) -> ASGIApp:
    """What the lifespan left for requests to find (ASGI lifespan "Lifespan State"), below what the guard says."""
    if not state:
        return app

    async def stateful(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": state | scope["state"]}, receive, send)

    return stateful


@asynccontextmanager
async def _lifespan(app: ASGIApp, name: str) -> AsyncIterator[dict[str, Any]]:
    """From `lifespan.startup` to `lifespan.shutdown`, in one task. An app that knows no lifespan needs none. Raises
    Unmountable when it says that it cannot start."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    state: dict[str, Any] = {}
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    running: asyncio.Future[Any] = asyncio.ensure_future(_ran(app, scope, inbox.get, said.put))
    try:
        await inbox.put({"type": "lifespan.startup"})
        knows_it = await _answer(running, said, name, "startup")
        try:
            yield state
        finally:
            if knows_it:
                await inbox.put({"type": "lifespan.shutdown"})
                await _answer(running, said, name, "shutdown")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _ran(app: Any, scope: Scope, receive: Receive, send: Callable[[Message], Awaitable[None]]) -> None:
    await app(scope, receive, send)


async def _answer(running: asyncio.Future[Any], said: asyncio.Queue[Message], name: str, what: str) -> bool:
    """Waits for what the app says; False when it ends without a word. Raises Unmountable."""
    waiting = asyncio.ensure_future(said.get())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        return False
    message = waiting.result()
    if message["type"] == f"lifespan.{what}.failed":
        raise Unmountable(f"{name} failed at its {what}: {_last_line(message.get('message', ''))}")
    return True


def _last_line(said: str) -> str:
    """Of what is often a whole traceback."""
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it does not say why")

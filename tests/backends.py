"""MCP servers that misbehave as a test likes, on raw sockets; and the proxy in front of one, with callers made to order."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2
import uvicorn
from starlette.types import Receive, Scope, Send

from app.cli.running import OPTIONS, Server, claimed
from app.gate.backends.url import proxied
from app.protocol.types import Principal
from app.resources.model import Resource, Rules, UrlBackend
from app.web.http import new_request_id, request_id
from tests.actors import http
from tests.conftest import House

BOTH = "application/json, text/event-stream"


@dataclass
class Received:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int  # which one it came on, from 1

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def message(self) -> Any:
        return json.loads(self.body)


class Wire:
    """What a backend writes to."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, status: int = 200, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        """A whole answer."""
        await self.raw(head(status, kind, Content_Length=str(len(body)), **headers) + body)

    async def result(self, asked: Received, value: object = None, **headers: str) -> None:
        await self.reply(200, json.dumps(answer(asked, value or {})).encode(), **headers)

    async def stream(self, **headers: str) -> None:
        """The head of a stream of events; `event` and `end` follow."""
        await self.raw(head(200, "text/event-stream", Transfer_Encoding="chunked", **headers))

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, message: object, identifier: str | None = None) -> None:
        named = f"id: {identifier}\n" if identifier else ""
        await self.chunk(f"{named}event: message\ndata: {json.dumps(message)}\n\n".encode())

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        self.writer.transport.abort()


def head(status: int, kind: str, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(asked: Received, value: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": asked.message["id"], "result": value}


Talk = Callable[[Received, Wire], Awaitable[None]]


async def silence() -> None:
    """Until the other side has had enough."""
    await asyncio.get_running_loop().create_future()


class Backend:
    """Answers each request with `talk`, which is ended when the other side closes."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self.talk = talk
        self._tls = tls
        self.received: list[Received] = []
        self.connections = 0
        self.gone = threading.Event()  # a caller closed while it was being answered
        self._loop = asyncio.new_event_loop()
        ready: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        self.port = ready.result(10)
        self.url = f"http{'s' if tls else ''}://localhost:{self.port}/mcp"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.cancel)
        self._thread.join(10)

    def _run(self, ready: Future[int]) -> None:
        asyncio.set_event_loop(self._loop)
        self._stop = self._loop.create_task(self._serve(ready))
        with_end = asyncio.gather(self._stop, return_exceptions=True)
        self._loop.run_until_complete(with_end)
        self._loop.run_until_complete(self._settled())
        self._loop.close()

    async def _settled(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, ready: Future[int]) -> None:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=2000, ssl=self._tls)
        async with server:
            ready.set_result(server.sockets[0].getsockname()[1])
            await silence()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while asked := await _request(reader, number):
                self.received.append(asked)
                talking = asyncio.ensure_future(self._talked(asked, Wire(writer)))
                leaving = asyncio.ensure_future(_end_of(reader))
                await asyncio.wait([talking, leaving], return_when=asyncio.FIRST_COMPLETED)
                if not talking.done():
                    self.gone.set()
                    talking.cancel()
                leaving.cancel()
                await asyncio.gather(talking, leaving, return_exceptions=True)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _talked(self, asked: Received, wire: Wire) -> None:
        try:
            await self.talk(asked, wire)
        except ConnectionError:
            self.gone.set()


async def _end_of(reader: asyncio.StreamReader) -> None:
    while not reader.at_eof():
        if reader._buffer:  # type: ignore[attr-defined]  # the next request: not ours to read
            await silence()
        try:
            await reader._wait_for_data("end")  # type: ignore[attr-defined]
        except ConnectionError:
            return


async def _request(reader: asyncio.StreamReader, number: int) -> Received | None:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = next((int(value) for name, value in headers if name == "content-length"), 0)
    return Received(method, target, headers, await reader.readexactly(length), number)


@dataclass
class Front:
    """The proxy on a socket. Whoever sends `Authorization: Bearer ada` is ada, with the app `quill` unless `X-App` says another."""

    url: str
    house: House
    born: int
    stopped: Callable[[], None]
    drain: Callable[[], object] = lambda: None
    http: httpx2.Client = field(default_factory=http)
    errors: list[BaseException] = field(default_factory=list)

    def post(self, message: object, who: str = "ada", **headers: str) -> httpx2.Response:
        return self.http.post(self.url, json=message, headers=sent(who, headers))

    def call(
        self, method: str = "tools/call", who: str = "ada", identifier: object = 7, **headers: str
    ) -> httpx2.Response:
        message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": {"name": "x", "arguments": {}}}
        return self.post(message, who, **headers)

    def request(self, method: str, who: str = "ada", **headers: str) -> httpx2.Response:
        return self.http.request(method, self.url, headers=sent(who, headers))

    @contextmanager
    def streamed(
        self, method: str = "POST", who: str = "ada", message: object = None, **headers: str
    ) -> Iterator[httpx2.Response]:
        body = None if method == "GET" else message or {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {}}
        with self.http.stream(method, self.url, json=body, headers=sent(who, headers)) as response:
            yield response


def sent(who: str, headers: dict[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Authorization": f"Bearer {who}", "Accept": BOTH} | named


def principal(who: str, app: str, now: int) -> Principal:
    """With a token that is good for an hour from `now`."""
    return Principal(
        subject=f"usr_{who}",
        client_id=app,
        scope=frozenset({"read", "write"}),
        via="authorization_code",
        issued_at=now,
        expires_at=now + 3600,
        handles=(f"usr_{who}",),
        token_id=f"{who} {app}",
        connection_id=None,
        revocable_since=now,
    )


def resource(backend: UrlBackend, path: str = "/mcp", url: str = "http://localhost") -> Resource:
    return Resource("far", path, "Far", url + path, {}, (), Rules(), backend)


@contextmanager
def fronted(house: House, backend: UrlBackend, path: str = "/mcp") -> Iterator[Front]:
    """The proxy in the house's own process, so that its clock, its keys and its revocations hold."""
    listener = claimed("127.0.0.1", 0)
    front = Front(f"http://127.0.0.1:{listener.getsockname()[1]}{path}", house, int(time.time()), lambda: None)
    ready = threading.Event()
    done: Future[None] = Future()

    async def serve() -> None:
        async with proxied(resource(backend, path), house.world) as inner:

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                given = dict(scope["headers"])
                request_id.set(new_request_id())
                who, name = given[b"authorization"].decode()[7:], given.get(b"x-app", b"quill").decode()
                scope["state"] = {"principal": principal(who, name, front.born)}
                try:
                    await inner(scope, receive, send)
                except BaseException as fault:
                    front.errors.append(fault)
                    raise

            config = uvicorn.Config(app, timeout_graceful_shutdown=1, **(OPTIONS | {"lifespan": "off"}))
            server = Server(config, ready.set)
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            front.drain = partial(house._loop.call_soon_threadsafe, inner.drain)  # type: ignore[attr-defined]
            front.stopped = lambda: setattr(server, "should_exit", True)
            await server._serve([listener])

    running = asyncio.run_coroutine_threadsafe(serve(), house._loop)
    running.add_done_callback(lambda ended: done.set_result(None))
    assert ready.wait(10), running.exception(0) if running.done() else "the proxy did not start"
    try:
        yield front
    finally:
        front.http.close()
        front.stopped()
        running.result(20)
    assert not front.errors, front.errors

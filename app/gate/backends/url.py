"""A remote streamable-HTTP server behind the guard: streams pass as they come, sessions are the caller's own, credentials are not
(MCP Streamable HTTP, all revisions; security best practices "Token Passthrough", "Session Hijacking")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from app.gate.backends import answers, calls, credentials, passing, unconnected
from app.gate.backends.calls import Call
from app.gate.backends.credentials import Theirs
from app.gate.backends.faults import (
    BackendFault,
    BrokenOff,
    Gone,
    Header,
    Nonsense,
    Revoked,
    Stopping,
    UnknownSession,
    message_of,
    tell,
)
from app.gate.backends.passing import Answered
from app.gate.backends.pool import Place, Pool
from app.gate.backends.session_ids import Session, SessionIds
from app.gate.backends.streams import Tail
from app.gate.backends.watching import Exchange, Watch
from app.resources.model import Resource, UrlBackend
from app.upstream.vault.fetch import NotConnected
from app.web.http import request_id
from app.world import World

log = structlog.get_logger("gatehouse.backend")

METHODS = ("GET", "POST", "DELETE")
# For the proxies in front of us: an event that waits for its companions is late.
STREAM_HEADERS = [
    (b"content-type", answers.SSE),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


@asynccontextmanager
async def proxied(resource: Resource, world: World) -> AsyncIterator[ASGIApp]:
    """The ASGI app. What is under way when it is left ends with an error.

    Raises ValueError and OSError for a backend that cannot be set up.
    """
    backend = resource.backend
    assert isinstance(backend, UrlBackend)
    place = Place.of(backend.url, world.settings.ca_file, backend.ca_file)
    pool = Pool(place, backend.timeout, backend.connections)
    watch = Watch(backend, pool, world)
    app = Proxied(resource, place, world, pool, watch, credentials.of(backend, world))
    try:
        yield app
    finally:
        watch.close()
        pool.close()
        await asyncio.sleep(0)  # so that those who waited have heard


class Proxied:
    """The ASGI app of one resource in one process."""

    def __init__(
        self,
        resource: Resource,
        place: Place,
        world: World,
        pool: Pool,
        watch: Watch,
        sent: credentials.Credentials,
    ) -> None:
        self._name = resource.name
        self._title = resource.title
        assert isinstance(resource.backend, UrlBackend)
        self._largest = resource.backend.largest
        self._world = world
        self._pool = pool
        self._watch = watch
        self._credentials = sent
        self._requests = passing.Requests(place)
        self._sessions = SessionIds(world.secrets.mcp_sessions, resource.audience)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in METHODS:
            await send({"type": "http.response.start", "status": 405, "headers": [(b"allow", b"GET, POST, DELETE")]})
            await send({"type": "http.response.body", "body": b""})
            return
        call = await calls.of(scope, receive)
        try:
            self._watch.enter(call.principal)
            try:
                await self._answer(call, send)
            finally:
                self._watch.leave(call.principal)
        except Gone:
            pass
        except BackendFault as fault:
            self._note(fault, call)
            await tell(fault, call.identifier, send)

    def drain(self) -> None:
        """Who listens is let go, so that the server need not wait for them when it stops."""
        self._watch.drain()

    async def _answer(self, call: Call, send: Send) -> None:
        """Raises BackendFault as long as nothing of an answer has been sent."""
        presented = passing.session_of(call.headers)
        session = Session(b"") if presented is None else self._sessions.opened(presented, call.principal)
        opens = session.opens or unconnected.opens_addresses(call.params.get("capabilities"))
        try:
            exchange = await self._identified(call, session, is_new=presented is None)
        except NotConnected as fault:
            introduced = await self._introduced(call, session)
            if introduced is None:
                begun = self._sessions.sealed(Session(b"", opens), call.principal)
                await unconnected.tell(call, fault, self._title, begun, send, opens=opens)
                return
            exchange = introduced
        try:
            connection = exchange.connection
            answered = passing.answered(connection.headers)
            answers.check(connection.status, answered)
            if answered.session is not None:
                known = presented if answered.session == session.id else None  # said again, it is the same
                marked = Session(answered.session, opens and isinstance(self._credentials, Theirs))
                sealed = known or self._sessions.sealed(marked, call.principal)
                answered.passed.append((passing.SESSION, sealed))
            if connection.status == 200 and answered.media_type == answers.SSE:
                await self._stream(call, exchange, answered.passed, send)
            else:
                await self._whole(call, exchange, answered, send, had_session=bool(session.id))
        except BackendFault:
            exchange.connection.close()  # whoever talks nonsense is not asked a second time
            raise
        finally:
            self._watch.end(exchange)

    async def _identified(self, call: Call, session: Session, *, is_new: bool) -> Exchange:
        """The head of an answer, to a request with what the backend is to be told of the caller. Raises NotConnected."""
        line = await self._credentials.line(call.principal, self._world.now())
        if not is_new and not session.id:
            # Ours, from before there was an account: now the client meets the server itself (MCP "Session Management").
            raise UnknownSession("the caller has connected their account since")
        exchange = await self._asked(call, self._written(call, session, line))
        status = exchange.connection.status
        if status not in (401, 403) or not isinstance(self._credentials, Theirs):
            return exchange
        challenge = b", ".join(value for name, value in exchange.connection.headers if name == b"www-authenticate")
        self._drop(exchange)
        line = await self._credentials.instead(line, status, challenge, call.principal)
        return await self._asked(call, self._written(call, session, line))

    async def _introduced(self, call: Call, session: Session) -> Exchange | None:
        """The head of what the backend tells anybody of itself, if it does."""
        if call.rpc_method not in unconnected.INTRODUCTIONS:
            return None
        exchange = await self._asked(call, self._written(call, session, credentials.NO_LINE))
        if exchange.connection.status not in (401, 403):
            return exchange
        self._drop(exchange)
        return None

    def _written(self, call: Call, session: Session, line: bytes) -> bytes:
        return self._requests.written(call.method, call.headers, call.body, session.id or None, request_id.get(), line)

    def _drop(self, exchange: Exchange) -> None:
        exchange.connection.close()
        self._watch.end(exchange)

    async def _asked(self, call: Call, request: bytes) -> Exchange:
        """Up to the head of the answer. A kept connection may have been closed at the other end while the request was on its
        way: then once more on a fresh one, if nothing was answered and it does no harm (RFC 9110 §9.2.2)."""
        connection = await self._pool.take()
        while True:
            exchange = self._watch.begin(connection, call.principal, call.receive, call.is_lasting)
            was_kept = connection.asked > 0
            try:
                connection.send(request)
                await connection.head()
            except BaseException as fault:
                self._watch.end(exchange)
                stale = isinstance(fault, BrokenOff) and was_kept and not connection.has_begun
                if not (stale and call.is_repeatable):
                    raise
            else:
                return exchange
            connection = await self._pool.take(fresh=True)

    async def _whole(
        self, call: Call, exchange: Exchange, answered: Answered, send: Send, *, had_session: bool
    ) -> None:
        """Anything that is no stream."""
        connection, headers = exchange.connection, answered.passed
        status, body = connection.status, await answers.whole(connection, answered.length, self._largest)
        if status >= 400:
            refusal = answers.refusal(call, status, body, had_session=had_session)
            if refusal is None:
                await tell(BackendFault(f"status {status}"), call.identifier, send, status, headers)
                return
            body = refusal
        elif call.method == "GET":
            raise Nonsense("no stream of events")
        elif call.method == "DELETE" or not call.is_request:
            status, body = (status if call.method == "DELETE" else 202), b""
        elif status != 200 or answered.media_type != answers.JSON:
            raise Nonsense(f"status {status} with {answered.media_type[:60]!r}")
        else:
            body = answers.answer(call, body)
        if body:
            headers.append((b"content-type", answers.JSON))
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, call: Call, exchange: Exchange, headers: list[Header], send: Send) -> None:
        """Each chunk as it comes, and the next is not read before this one has found room."""
        connection, tail = exchange.connection, Tail()
        exchange.is_stream = True
        await send({"type": "http.response.start", "status": 200, "headers": headers + STREAM_HEADERS})
        last = b""
        try:
            while chunk := await connection.chunk():
                tail.passed(chunk)
                exchange.tail = tail.last
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Gone:
            return
        except BackendFault as fault:
            self._note(fault, call)
            goes_on_elsewhere = tail.can_resume or (call.is_lasting and isinstance(fault, (Revoked, Stopping)))
            if call.is_request and not goes_on_elsewhere:
                last = tail.closing(message_of(fault, call.identifier))
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _note(self, fault: BackendFault, call: Call) -> None:
        """For the operator: what the caller is not told."""
        log.warning("backend", resource=self._name, error=fault.error, why=fault.why, rpc_method=call.rpc_method[:60])

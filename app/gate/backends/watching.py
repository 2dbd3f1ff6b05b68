"""A look, four times a second, at every exchange that is under way: time limits, callers who left, tokens that ended.

One timer for all of them: one for each would cost as much as the rest of the proxy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Receive

from app.gate.backends.faults import BackendFault, Gone, Revoked, Stopping, TimedOut, TooManyAtOnce
from app.gate.backends.pool import Pool
from app.gate.backends.wire import Connection
from app.protocol.types import Principal
from app.resources.model import UrlBackend
from app.world import World

LOOK_SECONDS = 0.25
QUIET_SECONDS = 20.0  # then a stream is given a comment, so that nothing between us and the caller takes it for dead
COMMENT = b":\n"
LINE_ENDS = (b"", b"\n")


@dataclass(slots=True, eq=False)
class Exchange:
    """One request under way. Moments are the loop's time."""

    connection: Connection
    principal: Principal
    receive: Receive
    is_lasting: bool  # made to stay open: GET, subscriptions/listen
    began: float
    is_stream: bool = False
    tail: bytes = b""  # the last byte passed on
    reads: int = 0
    heard_at: float = 0.0
    passed_at: float = 0.0
    leaving: asyncio.Task[None] | None = field(default=None)


class Watch:
    """Of one backend."""

    def __init__(self, backend: UrlBackend, pool: Pool, world: World) -> None:
        self._backend = backend
        self._pool = pool
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._open: set[Exchange] = set()
        self._of_one: dict[tuple[str, str], int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, principal: Principal) -> None:
        """One more of this caller, who may hold as many as are left for others. Raises TooManyAtOnce."""
        caller = (principal.subject, principal.client_id)
        held = self._of_one.get(caller, 0)
        if held > self._pool.free:
            raise TooManyAtOnce(f"{held} are open", retry_after=1)
        self._of_one[caller] = held + 1

    def leave(self, principal: Principal) -> None:
        caller = (principal.subject, principal.client_id)
        self._of_one[caller] -= 1
        if not self._of_one[caller]:
            del self._of_one[caller]

    def begin(self, connection: Connection, principal: Principal, receive: Receive, is_lasting: bool) -> Exchange:
        now = self._loop.time()
        exchange = Exchange(connection, principal, receive, is_lasting, now, heard_at=now, passed_at=now)
        self._open.add(exchange)
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        return exchange

    def end(self, exchange: Exchange) -> None:
        self._open.discard(exchange)
        if exchange.leaving is not None:
            exchange.leaving.cancel()
        self._pool.give_back(exchange.connection, self._loop.time())

    def drain(self) -> None:
        """Ends the streams that would not end by themselves."""
        for exchange in self._open:
            if exchange.is_stream and exchange.is_lasting:
                exchange.connection.fail(Stopping("the server stops"))

    def close(self) -> None:
        """Ends all that is under way."""
        for exchange in self._open:
            exchange.connection.fail(Stopping("this resource is closed or changed"))
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now, moment = self._loop.time(), self._world.now().timestamp()
        for exchange in self._open:
            self._look_at(exchange, now, moment)
        has_idle = self._pool.drop_stale(now)
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look) if self._open or has_idle else None

    def _look_at(self, exchange: Exchange, now: float, moment: float) -> None:
        connection = exchange.connection
        if exchange.leaving is None:
            exchange.leaving = self._loop.create_task(_until_gone(exchange.receive, connection.fail))
        if connection.reads != exchange.reads:
            exchange.reads, exchange.heard_at, exchange.passed_at = connection.reads, now, now
        fault = self._fault(exchange, now, moment)
        if fault is not None:
            connection.fail(fault)
        elif exchange.is_stream and now - exchange.passed_at > QUIET_SECONDS and connection.is_drained:
            exchange.passed_at = now
            if exchange.tail in LINE_ENDS:  # a comment may stand between lines, and nowhere else
                connection.insert(COMMENT)

    def _fault(self, exchange: Exchange, now: float, moment: float) -> BackendFault | None:
        backend, revocations = self._backend, self._world.live.revocations
        if revocations.covers(exchange.principal):
            return Revoked("revoked")
        if not exchange.is_stream:
            return TimedOut(f"no answer in {backend.timeout:g} s") if now - exchange.began > backend.timeout else None
        if exchange.is_lasting:
            fresh = revocations.clear(exchange.principal, moment, self._world.settings.revocation_staleness)
            return None if fresh else Revoked("expired, or nobody can tell")
        if now - exchange.heard_at > backend.silence:
            return TimedOut(f"nothing for {backend.silence:g} s")
        return TimedOut(f"no end in {backend.longest:g} s") if now - exchange.began > backend.longest else None


async def _until_gone(receive: Receive, tell: Callable[[BackendFault], None]) -> None:
    """The request has been read, so that all that can come is the end."""
    while (await receive())["type"] != "http.disconnect":
        pass
    tell(Gone("the caller left"))

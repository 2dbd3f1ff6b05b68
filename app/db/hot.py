"""The bare asyncpg connections for hot statements, lent for one statement each and no longer than it may take.

Such a statement is whole by itself, so that a connection goes from one to the next as it is. asyncpg's own pool puts a proxy and
a task of its own around each, in case that something is to be put right between two users: 30 µs of the 50 that it takes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import asyncpg
from asyncpg import Connection

from app.db.patience import ANSWER_SECONDS, GOODBYE_SECONDS, TURN_SECONDS

IDLE_SECONDS = 300.0  # after which a connection that nobody needed is given up
AGE_SECONDS = 1800.0  # after which one is replaced: what Postgres keeps for it only grows

Connect = Callable[[], Awaitable[Connection]]
KEEPS = (asyncpg.PostgresError, asyncpg.DataError)  # the statement was at fault, the connection is as good as before
LOST = (asyncpg.ReadOnlySQLTransactionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)  # but for these


class HotPool:
    """Every method raises what asyncpg does, TimeoutError when no connection is to be had, and ConnectionDoesNotExistError when a
    statement is not answered in time."""

    def __init__(self, connect: Connect, size: int) -> None:
        """`size` is how many connections there may be."""
        self._connect = connect
        self._size = size
        self._places = size  # for connections not open yet
        self._idle: deque[tuple[Connection, float]] = deque()  # since when; on the right the last one used
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()  # for one, or for a place for one
        self._born: dict[Connection, float] = {}

    def fetch(self, query: str, *values: Any) -> Awaitable[list[Any]]:
        return self.ask(Connection.fetch, query, *values)

    def fetchrow(self, query: str, *values: Any) -> Awaitable[Any]:
        return self.ask(Connection.fetchrow, query, *values)

    def fetchval(self, query: str, *values: Any) -> Awaitable[Any]:
        return self.ask(Connection.fetchval, query, *values)

    def execute(self, query: str, *values: Any) -> Awaitable[str]:
        return self.ask(Connection.execute, query, *values)

    def executemany(self, query: str, rows: Any) -> Awaitable[None]:
        """However long it takes: it is for tools that fill tables, not for requests."""
        return self.ask(Connection.executemany, query, rows, seconds=86400.0)

    def copy(self, table: str, rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> Awaitable[None]:
        """All of them or none."""
        return self.ask(_copied, table, rows, columns)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def busy(self) -> int:
        return self._size - self._places - len(self._idle)

    async def open(self) -> None:
        """So that a database that is away is noticed. Raises what `connect` does."""
        self._give_back(await self._lent())

    async def close(self) -> None:
        """Says goodbye to the database, if that hears it, once every statement has been answered."""
        with suppress(TimeoutError, OSError, asyncpg.InterfaceError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                while self._places < self._size:
                    connection = self._idle.pop()[0] if self._idle else await self._turn()
                    if connection is not None:
                        await connection.close()
                        del self._born[connection]
                    self._places += 1
        for connection in list(self._born):
            connection.terminate()

    async def ask(
        self, how: Callable[..., Awaitable[Any]], query: str, *values: Any, seconds: float = ANSWER_SECONDS
    ) -> Any:
        """`how` asks a connection; all the others come to this. `seconds` is how long the answer may take."""
        connection = await self._lent()
        timer = asyncio.get_running_loop().call_later(seconds, connection.terminate)
        try:
            return await how(connection, query, *values)
        except BaseException as fault:
            if not isinstance(fault, KEEPS) or isinstance(fault, LOST):
                # Nobody waits for the answer any longer, or the connection broke, or leads to what was the primary once.
                connection.terminate()
            raise
        finally:
            timer.cancel()
            self._give_back(connection)

    async def _lent(self) -> Connection:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection, since = self._idle.pop()
            if self._is_good(connection, since, now):
                return connection
            self._forget(connection)
        if self._places:
            self._places -= 1
        elif (given := await self._turn()) is not None:
            return given
        try:
            opened = await self._connect()
        except BaseException:
            self._pass_on(None)
            raise
        self._born[opened] = asyncio.get_running_loop().time()
        return opened

    async def _turn(self) -> Connection | None:
        """A connection that another had, or None, which is a place for one. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        self._waiting.append(waiting)
        timer = loop.call_later(TURN_SECONDS, _too_long, waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and not waiting.exception():  # at this very moment
                self._pass_on(waiting.result())
            raise
        finally:
            timer.cancel()

    def _is_good(self, connection: Connection, since: float, now: float) -> bool:
        return not connection.is_closed() and now - since < IDLE_SECONDS and now - self._born[connection] < AGE_SECONDS

    def _forget(self, connection: Connection) -> None:
        """Its place is free again."""
        del self._born[connection]
        connection.terminate()
        self._places += 1

    def _give_back(self, connection: Connection) -> None:
        if connection.is_closed():
            del self._born[connection]
            self._pass_on(None)
            return
        self._pass_on(connection)
        if self._idle:
            oldest, since = self._idle[0]
            if not self._is_good(oldest, since, asyncio.get_running_loop().time()):
                self._idle.popleft()
                self._forget(oldest)

    def _pass_on(self, given: Connection | None) -> None:
        """A connection, or the place for one, to whoever has waited longest."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(given)
                return
        if given is None:
            self._places += 1
        else:
            self._idle.append((given, asyncio.get_running_loop().time()))


def _too_long(waiting: asyncio.Future[Connection | None]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError("no connection to the database was to be had"))


async def _copied(connection: Connection, table: str, rows: Any, columns: Sequence[str]) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)

"""The connections for hot statements: lent to many at once, none lost, none given on that somebody left in the middle of something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from app.db import hot
from app.db.engine import pool
from app.db.hot import HotPool

pytestmark = pytest.mark.anyio
MINE = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hot pool'"


@pytest.fixture
async def three(dsn: str) -> AsyncIterator[HotPool]:
    opened = await pool(f"{dsn}{'&' if '?' in dsn else '?'}application_name=hot%20pool", 3)
    yield opened
    await opened.close()


async def until(holds: Callable[[], object]) -> None:
    while True:
        found = holds()
        if await found if isinstance(found, Awaitable) else found:
            return
        await asyncio.sleep(0)


async def everybody(three: HotPool) -> None:
    """All three places are there, and work."""
    assert await asyncio.gather(*(three.fetchval("SELECT 1 FROM pg_sleep(0.05)") for _ in range(3))) == [1] * 3
    assert (three.busy, three.idle) == (0, 3)


async def test_three_serve_a_hundred(three: HotPool) -> None:
    answers = await asyncio.gather(*(three.fetchval("SELECT $1::int", number) for number in range(100)))
    assert answers == list(range(100))
    assert await three.fetchval(MINE) <= 3
    await everybody(three)


async def test_who_goes_away_leaves_no_answer_to_the_next(three: HotPool) -> None:
    for _ in range(5):
        gone = [asyncio.ensure_future(three.fetchval("SELECT 1 FROM pg_sleep(30)")) for _ in range(6)]
        await until(lambda: three.busy == 3)
        for one in gone:
            one.cancel()
        assert {type(one) for one in await asyncio.gather(*gone, return_exceptions=True)} == {asyncio.CancelledError}
        assert await three.fetchval("SELECT 7") == 7
    await everybody(three)


async def test_nobody_waits_for_ever_for_a_turn(three: HotPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "TURN_SECONDS", 0.1)
    slow = [asyncio.ensure_future(three.fetchval("SELECT 1 FROM pg_sleep(1)")) for _ in range(3)]
    await until(lambda: three.busy == 3)
    with pytest.raises(TimeoutError):
        await three.fetchval("SELECT 1")
    assert await asyncio.gather(*slow) == [1] * 3
    await everybody(three)


async def test_a_fault_of_a_statement_costs_no_connection(three: HotPool) -> None:
    (before,) = {await three.fetchval("SELECT pg_backend_pid()") for _ in range(3)}
    for statement, value in (("SELECT 1/$1::int", 0), ("SELECT $1::int", "word"), ("SELECT $1::text", "\0")):
        with pytest.raises((asyncpg.PostgresError, asyncpg.DataError)):
            await three.fetchval(statement, value)
        assert await three.fetchval("SELECT pg_backend_pid()") == before


async def test_connections_that_the_database_ended_are_replaced(three: HotPool, dsn: str) -> None:
    await everybody(three)
    other = await asyncpg.connect(dsn)
    await other.execute(MINE.replace("count(*)", "pg_terminate_backend(pid)"))
    await until(lambda: other.fetchval(MINE.replace("*) FROM", "*) = 0 FROM")))
    await other.close()
    await until(lambda: all(connection.is_closed() for connection, _ in three._idle))  # the news is here
    await everybody(three)


@pytest.mark.parametrize("limit", ["IDLE_SECONDS", "AGE_SECONDS"])
async def test_what_lay_idle_or_is_old_is_given_up(three: HotPool, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    await everybody(three)
    before = await three.fetchval("SELECT pg_backend_pid()")
    monkeypatch.setattr(hot, limit, 0.0)
    assert await three.fetchval("SELECT pg_backend_pid()") != before
    assert (three.busy, three.idle) == (0, 0)
    assert await three.fetchval("SELECT 1") == 1


async def test_a_database_that_cannot_be_reached_costs_no_place(
    three: HotPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> asyncpg.Connection:
        raise OSError("away")

    await everybody(three)
    for connection, _ in three._idle:
        connection.terminate()
    with monkeypatch.context() as patched:
        patched.setattr(three, "_connect", away)
        for _ in range(9):
            with pytest.raises(OSError, match="away"):
                await three.fetchval("SELECT 1")
    await everybody(three)


async def test_closed_says_goodbye(dsn: str) -> None:
    own = await pool(f"{dsn}{'&' if '?' in dsn else '?'}application_name=hot%20pool", 2)
    await asyncio.gather(*(own.fetchval("SELECT 1 FROM pg_sleep(0.05)") for _ in range(2)))
    last = asyncio.ensure_future(own.fetchval("SELECT 1 FROM pg_sleep(0.2)"))
    await until(lambda: own.busy)
    await own.close()
    assert await last == 1, "what was asked is answered first"
    other = await asyncpg.connect(dsn)
    await until(lambda: other.fetchval(MINE.replace("*) FROM", "*) = 0 FROM")))
    await other.close()

"""Sixty-four at once against one budget, one payment, one solution: exact, whoever comes first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from app.db.engine import pool
from app.lightning.pretend import Pretend
from app.metering import budgets, charging
from app.metering.model import AGENT, Charge, Denied
from app.metering.till import Till
from app.payments import quotes
from tests.actors import http
from tests.agents import Agent, agent
from tests.conftest import House

RACERS = 64


PROCESSES = pytest.mark.parametrize("processes", [1, 4, RACERS])


def with_budget(house: House, work: Callable[[list[Till]], Awaitable[Any]], processes: int, **limits: Any) -> Any:
    """Sixty-four connections, a budget called `b`, and the tills of so many processes: of one, whose charges go together, to
    as many as there are racers, where each goes alone."""

    async def run() -> Any:
        connections = await pool(house.dsn, RACERS)
        async with house.world.db.begin() as db:
            await budgets.open_budget(db, "b", AGENT, house.world.now(), **{"allowance_sats": 0, **limits})
        try:
            return await work([Till(connections) for _ in range(processes)])
        finally:
            await connections.close()

    return house.wait_for(run())


def charged(
    house: House, processes: int, many: int, key: str = "k{}", **limits: Any
) -> tuple[list[Charge], list[Denied]]:
    now = house.world.now()

    async def work(tills: list[Till]) -> Any:
        each = (charging.charge(tills[n % processes], "b", 1, key.format(n), b"same", now) for n in range(many))
        return await asyncio.gather(*each)

    answers = with_budget(house, work, processes, **limits)
    took = [answer for answer in answers if isinstance(answer, Charge)]
    return took, [answer for answer in answers if isinstance(answer, Denied)]


def left(house: House) -> tuple[object, ...]:
    return house.sql("SELECT day_free_sats, funded_sats, day_sats, day_calls FROM budgets WHERE id = 'b'")[0]


LEDGER = "SELECT coalesce(sum(sats), 0), count(*) FROM charges WHERE budget_id = 'b' AND state <> 'released'"


@PROCESSES
def test_a_budget_is_spent_to_the_last_sat_and_no_further(house: House, processes: int) -> None:
    """agents.md §1.4 flaw 2: first what the day gives, then what was paid for."""
    took, denied = charged(house, processes, 1500, allowance_sats=200, funded_sats=300)
    assert (len(took), len(denied)) == (500, 1000)
    assert {answer.reason for answer in denied} == {"budget_exceeded"}
    assert left(house) == (200, 0, 500, 500)
    assert house.sql(LEDGER) == [(500, 500)]
    assert sorted(answer.remaining_sats for answer in took) == list(range(500)), "each was told the truth"


@PROCESSES
def test_one_key_is_charged_once(house: House, processes: int) -> None:
    took, denied = charged(house, processes, 500, key="the same", allowance_sats=1000)
    assert (len(took), len(denied)) == (500, 0)
    assert sum(answer.replayed for answer in took) == 499
    assert left(house) == (1, 0, 1, 1)


@PROCESSES
def test_calls_a_minute_are_exact(house: House, processes: int) -> None:
    took, denied = charged(house, processes, 500, allowance_sats=1000, max_calls_per_minute=60)
    assert (len(took), {answer.reason for answer in denied}) == (60, {"rate_limited"})


@PROCESSES
def test_prepaid_is_exact(house: House, processes: int) -> None:
    took, _ = charged(house, processes, 500, funded_sats=50)
    assert len(took) == 50
    assert left(house) == (0, 0, 50, 50)


@PROCESSES
def test_what_is_reserved_settled_and_released_at_once_adds_up(house: House, processes: int) -> None:
    now = house.world.now()

    async def one(till: Till, number: int) -> None:
        key, connections = f"k{number % 16}", till.pool
        held = await charging.reserve(till, "b", 5, key, b"same", now)
        if isinstance(held, Charge) and number % 3 == 0:
            await charging.settle(connections, "b", key, 2)
        elif isinstance(held, Charge):
            await charging.release(connections, "b", key)

    async def work(tills: list[Till]) -> None:
        await asyncio.gather(*(one(tills[number % processes], number) for number in range(900)))

    with_budget(house, work, processes, allowance_sats=17, funded_sats=400)
    spent, _ = house.sql(LEDGER)[0]
    free, funded, day, _calls = left(house)
    assert day == spent
    assert free + (400 - funded) == spent  # type: ignore[operator]


def test_a_reservation_is_settled_for_what_it_cost_and_never_more(house: House) -> None:
    now = house.world.now()

    async def work(tills: list[Till]) -> list[Any]:
        [till], connections = tills, tills[0].pool
        held = await charging.reserve(till, "b", 10, "k", b"x", now, lasting=timedelta(minutes=1))
        return [
            held,
            await charging.settle(connections, "b", "k", 4),
            await charging.settle(connections, "b", "k", 1),
            await charging.settle(connections, "b", "never reserved", 1),
            await charging.reserve(till, "b", 10, "dear", b"x", now),
            await charging.settle(connections, "b", "dear", 1000),
            await charging.release(connections, "b", "dear"),
            await charging.release(connections, "b", "dear"),
            await charging.charge(till, "b", 3, "dear", b"another", now),
        ]

    held, settled, again, nothing, _, dear, released, twice, anew = with_budget(house, work, 1, funded_sats=30)
    assert (held.state, held.remaining_sats) == ("reserved", 20)
    assert (settled.state, settled.sats, again.sats, nothing) == ("charged", 4, 4, None)
    assert (dear.sats, released, twice) == (10, True, False)
    assert (anew.sats, anew.replayed) == (3, False), "what was released may be tried again"
    assert left(house)[1] == 23


def test_what_nobody_settles_is_charged_as_estimated(house: House) -> None:
    from app.metering.store import settle_overdue

    now = house.world.now()

    async def work(tills: list[Till]) -> None:
        await charging.reserve(tills[0], "b", 10, "k", b"x", now, lasting=timedelta(minutes=1))
        await settle_overdue(tills[0].pool, now + timedelta(minutes=2))

    with_budget(house, work, 1, funded_sats=30)
    assert house.sql("SELECT state, sats FROM charges") == [("charged", 10)]


@PROCESSES
def test_many_budgets_at_once_are_each_exact(house: House, processes: int) -> None:
    """Several rows in one statement, in any order: nobody waits for ever, and who has little left takes nothing from the others."""
    now, names = house.world.now(), [f"b{number}" for number in range(24)]

    async def work(tills: list[Till]) -> list[Any]:
        async with house.world.db.begin() as db:
            for number, name in enumerate(names):
                await budgets.open_budget(db, name, AGENT, now, allowance_sats=number, funded_sats=0)
        each = (
            charging.charge(tills[n % processes], names[n * 7 % 24], 1 + n // 24 % 2, f"{n}", b"x", now)
            for n in range(1200)
        )
        return await asyncio.gather(*each)

    answers = with_budget(house, work, processes)
    assert house.sql(
        "SELECT count(*) FROM budgets WHERE day_free_sats > allowance_sats OR day_sats <> day_free_sats"
    ) == [(0,)]
    taken = sum(answer.sats for answer in answers if isinstance(answer, Charge))
    assert house.sql("SELECT sum(sats)::bigint FROM charges") == [(taken,)]
    assert house.sql("SELECT sum(day_sats)::bigint FROM budgets") == [(taken,)]
    # A charge of one sat never fails while one is left; of the dearer ones some may.
    assert all(row[0] == row[1] for row in house.sql("SELECT allowance_sats, day_sats FROM budgets WHERE id <> 'b'"))


def test_what_cannot_be_stored_takes_nobody_with_it(house: House) -> None:
    """Charges of several callers may share a statement, and a tool's name is anybody's to make up."""
    now = house.world.now()

    async def work(tills: list[Till]) -> list[Any]:
        tools = ["a", "b\0", "c", "\ud800", "d"]
        each = (charging.charge(tills[0], "b", 1, f"{n}", b"x", now, tool=tool) for n, tool in enumerate(tools * 3))
        return await asyncio.gather(*each, return_exceptions=True)

    answers = with_budget(house, work, 1, allowance_sats=100)
    assert [isinstance(answer, Charge) for answer in answers] == [True, False, True, False, True] * 3
    assert left(house)[2:] == (9, 9)


def at_once(attempt: Callable[[httpx2.Client], httpx2.Response], house: House) -> list[httpx2.Response]:
    gate = threading.Barrier(RACERS)

    def run(_: int) -> httpx2.Response:
        client = http()
        client.get(f"{house.url}/healthz")  # the connection is there before the race
        gate.wait()
        return attempt(client)

    with ThreadPoolExecutor(RACERS) as threads:
        return list(threads.map(run, range(RACERS)))


def confirming(robot: Agent, body: dict[str, Any]) -> Callable[[httpx2.Client], httpx2.Response]:
    url, headers = f"{robot.house.url}/api/mcp/confirm", {"X-LW-Public": robot.key}
    return lambda client: client.post(url, json=body, headers=headers)


def test_one_solution_is_one_session(house: House) -> None:
    """agents.md §1.4 flaw 7."""
    robot = agent(house)
    answers = at_once(confirming(robot, robot.solved(robot.start())), house)
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (RACERS - 1)
    assert house.sql("SELECT (SELECT count(*) FROM agent_sessions), (SELECT count(*) FROM budgets)") == [(1, 1)]


def test_one_payment_is_one_session(house: House) -> None:
    robot = agent(house, session_sats=21)
    started = robot.start(forceLightning=True)
    robot.pay(started["invoice"]["bolt11"])
    house.turn_clock(seconds=2)
    robot.get(f"/api/mcp/status/{started['quoteId']}")
    answers = at_once(confirming(robot, {"quoteId": started["quoteId"]}), house)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (RACERS - 1)
    assert house.sql("SELECT sum(funded_sats), count(*) FROM budgets") == [(21, 1)]


def test_one_payment_buys_once_at_whichever_door(house: House) -> None:
    """Sixty-four doors with a purpose of their own, and all know the preimage."""
    world = house.world

    async def race() -> list[Any]:
        now = world.now()
        offered = await quotes.quote(world, 5, "tool", "search", now, memo="search")
        assert isinstance(world.lightning, Pretend)
        preimage = await world.lightning.pay(offered.payment_hash)
        assert preimage is not None
        assert await quotes.settled(world, offered.payment_hash, now)

        async def claim(number: int) -> Any:
            async with world.db.begin() as db:
                by = f"door {number}"
                return await quotes.claim(db, offered.payment_hash, by, now, purpose="tool", preimage=preimage.hex())

        return await asyncio.gather(*(claim(number) for number in range(RACERS)))

    answers = house.wait_for(race())
    assert sum(answer is not None for answer in answers) == 1  # type: ignore[attr-defined]
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'payment.claimed'") == [(1,)]


def test_charges_through_the_door_are_exact(house: House) -> None:
    robot = agent(house, allowance_sats=20)
    robot.work()
    url = f"{house.url}/api/mcp/charge"
    answers = at_once(lambda client: client.post(url, json={"callCostSats": 1}, headers=robot.bearer), house)
    assert sum(answer.json()["status"] == "ok" for answer in answers) == 20
    assert robot.usage()["satsUsed"] == 20

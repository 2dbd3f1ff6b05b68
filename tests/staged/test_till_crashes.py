"""The process dies while many charges of one budget go to Postgres together: each is made once, and what was answered is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from app.metering.till import MOST
from tests.staged.conftest import Database
from tests.staged.people import add_ada
from tests.staged.purse import Purse, cost, purse
from tests.staged.replica import Replica

pytestmark = pytest.mark.long

MANY = MOST + 30
FIRST, BATCH, REST = 1, MOST, MANY - 1 - MOST  # the first comes alone, and while it is under way the others gather
LOAD = (
    40 * MOST
)  # while the one that dies makes one statement the other may make 4 * MOST charges, and it is to die before the end
CHARGING, TOGETHER = "WITH t AS (", "unnest("  # of each statement that charges, and of one that charges for many
PUBLIC: dict[str, Any] = {"public_url": "http://localhost:8000"}


@pytest.fixture(scope="module")
def stays(shared: Database) -> Iterator[Replica]:
    replica = Replica(shared.dsn, **PUBLIC)
    asyncio.run(add_ada(shared.dsn))
    yield replica
    replica.stop()


@pytest.fixture
def doomed(shared: Database, stays: Replica) -> Iterator[Replica]:
    replica = Replica(shared.dsn, **PUBLIC)
    yield replica
    replica.stop()


def run(shared: Database, work: Callable[[Purse], Awaitable[None]], **options: int) -> None:
    async def there() -> None:
        async with purse(shared.dsn, **options) as opened:
            await work(opened)

    asyncio.run(there())


async def repeated(opened: Purse, stays: Replica) -> None:
    """All of them once more, where somebody lives, whether they were answered or not."""
    before = await opened.made()
    assert set(opened.told) <= before
    await opened.all_at_once(stays, range(MANY))
    assert opened.replayed >= before, "what had been made was not made again"
    assert await opened.made() == set(opened.told) == set(range(MANY))
    assert not opened.denied


async def statements_before(shared: Database, replica: Replica) -> int:
    """How many are sent for a charge that comes alone, until it is made."""
    async with purse(shared.dsn) as another:
        answer = await another.charge(replica, 0, Stage="record")
    assert answer is not None
    sent: list[str] = json.loads(answer.headers["statements"])
    (place,) = [number for number, statement in enumerate(sent, 1) if statement.startswith("WITH t AS")]
    return place


async def gathered(opened: Purse, replica: Replica, blocked: int = 1, **headers: str) -> asyncio.Future[list[Any]]:
    """The first is under way and has to wait, and all others gather in the till."""
    first = asyncio.ensure_future(opened.charge(replica, 0, **headers))
    await opened.blocked(CHARGING, blocked)
    others = [opened.charge(replica, number) for number in range(1, MANY)]
    asked = asyncio.gather(first, *others)
    await opened.waiting_at(replica, MANY)
    return asked


@pytest.mark.parametrize("statements", [1, 2, 3])
def test_it_dies_when_postgres_has_answered(statements: int, shared: Database, stays: Replica, doomed: Replica) -> None:
    """And nobody has been told of it: neither of the one that came alone, nor of those that went together."""

    async def work(opened: Purse) -> None:
        alone = await statements_before(shared, stays)
        held_back = await opened.held_back(0)
        asked = await gathered(opened, doomed, Stage=str(alone + statements - 1))
        await held_back.close()
        await asked
        assert await opened.batches() == [FIRST, BATCH, REST][:statements]
        assert len(opened.told) <= sum([FIRST, BATCH, REST][: statements - 1])
        await repeated(opened, stays)

    run(shared, work)
    assert doomed.died


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_it_is_killed_while_postgres_works_for_it(
    is_cut_off: bool, shared: Database, stays: Replica, doomed: Replica
) -> None:
    """Postgres hears of the death when it is to answer, and has done everything; or nothing, when it is cut off before."""

    async def work(opened: Purse) -> None:
        held_back, lot = await opened.held_back(0), await opened.held_back(1)
        asked = await gathered(opened, doomed)
        await held_back.close()
        (orphan,) = await opened.blocked(TOGETHER, 1)
        doomed.kill()
        assert set(await asked) == {None} or set(opened.told) == {0}
        if is_cut_off:
            await opened.db.execute("SELECT pg_terminate_backend($1)", orphan)
        else:
            await lot.close()
        await opened.over(orphan)
        await lot.close()
        assert await opened.batches() == ([FIRST] if is_cut_off else [FIRST, BATCH])
        await repeated(opened, stays)

    run(shared, work)


def test_it_is_killed_while_another_is_asked_for_the_same(shared: Database, stays: Replica, doomed: Replica) -> None:
    """By clients without patience: two statements for the same charges wait in Postgres, and one of them nobody waits for."""

    async def work(opened: Purse) -> None:
        held_back, lot = await opened.held_back(0), await opened.held_back(1)
        asked = [await gathered(opened, replica, blocked) for blocked, replica in enumerate((doomed, stays), 1)]
        await held_back.close()
        await opened.blocked(TOGETHER, 2)
        doomed.kill()
        await lot.close()
        await asyncio.gather(*asked)
        assert await opened.made() == set(opened.told) == set(range(MANY))
        await repeated(opened, stays)

    run(shared, work)


@pytest.mark.parametrize("statements", [1, 2, 4])
def test_it_dies_under_load(statements: int, shared: Database, stays: Replica, doomed: Replica) -> None:
    """When the till has not been empty for so many statements; another charges the same budget meanwhile. It is enough for
    half of them."""

    async def work(opened: Purse) -> None:
        numbers, lost = iter(range(LOAD)), set()
        alone = await statements_before(shared, stays)

        async def customer() -> None:
            for number in numbers:
                first, stage = ((doomed, {"Stage": str(alone + statements - 1)}), (stays, {}))[number % 2]
                if await opened.charge(first, number, **stage) is None:
                    lost.add(number)
                    await opened.charge(stays, number)

        await asyncio.gather(*(customer() for _ in range(2 * MOST)))
        assert await opened.made() == set(opened.told)
        assert opened.replayed, "something was made of which nobody was told"
        assert opened.replayed <= lost
        assert opened.denied == set(range(LOAD)) - set(opened.told)
        assert await opened.left() < min(cost(number) for number in opened.denied), "spent to the last sat"

    run(shared, work, funded=LOAD)
    assert doomed.died

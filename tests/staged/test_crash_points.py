"""The process dies at every step of every deed: all of it is done or nothing, and the client goes on (security.md §3)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.actors import App, Browser
from tests.conftest import House, emptied
from tests.staged.deeds import DEEDS, NEVER, Deed, Scene
from tests.staged.replica import BEFORE_ANSWER, HALF_ANSWERED, Replica

pytestmark = pytest.mark.long

EVERY_STEP = (
    "STAGED_EVERY_STEP" in os.environ
)  # else those that change something: the others leave what was there before
CHANGES = ("INSERT", "UPDATE", "DELETE", "WITH", "COMMIT")


def begun(house: House) -> Scene:
    emptied(house)
    house.add_user()
    scene = Scene(house, Browser(house.url), App(house.url))
    scene.app.register()
    return scene


class Doomed:
    """Replicas of one house, the next of which starts while the last is looked at."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._pool = ThreadPoolExecutor(1)
        self._next = self._started()

    def __call__(self) -> Replica:
        ready, self._next = self._next, self._started()
        return ready.result()

    def _started(self) -> Future[Replica]:
        return self._pool.submit(Replica, self._house.dsn, public_url=self._house.url)

    def close(self) -> None:
        self._next.result().stop()
        self._pool.shutdown()


@pytest.fixture(scope="module")
def doomed(served: House) -> Iterator[Doomed]:
    waiting = Doomed(served)
    yield waiting
    waiting.close()


def steps_of(deed: Deed, scene: Scene, replica: Replica) -> list[str]:
    """The statements that a deed sends, in order."""
    path, options = deed.begin(scene)
    answer = replica.ask(options.pop("method", "POST"), path, "record", **options)
    assert answer is not None
    assert answer.status_code < 500, answer.text
    assert deed.done(scene)
    statements: list[str] = json.loads(answer.headers["statements"])
    return statements


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name)
def test_a_process_that_dies_at_any_step_leaves_nothing_by_halves(
    deed: Deed, house: House, doomed: Callable[[], Replica]
) -> None:
    lasting = doomed()
    statements = steps_of(deed, begun(house), lasting)
    lasting.stop()
    assert any(statement.startswith(CHANGES) for statement in statements), "the hooks see what is sent"
    places = [
        str(number) for number, statement in enumerate(statements, 1) if EVERY_STEP or statement.startswith(CHANGES)
    ]
    steps = [*places, BEFORE_ANSWER, HALF_ANSWERED] if EVERY_STEP else [*places, BEFORE_ANSWER]
    outcomes = []
    for step in steps:
        scene = begun(house)
        outcomes.append(died_at(deed, step, scene, doomed()))
        deed.go_on(scene, outcomes[-1])
        for what, query in NEVER.items():
            assert not house.sql(query), f"{what}, after step {step} of {statements}"
    assert outcomes == sorted(outcomes), f"once done, it stays done: {list(zip(steps, outcomes, strict=True))}"
    assert outcomes[-1], "what was answered was done"


def died_at(deed: Deed, step: str, scene: Scene, replica: Replica) -> bool:
    """Whether the deed was done, though the process died there."""
    path, options = deed.begin(scene)
    scene.kept["request"] = path, dict(options)
    answer = replica.ask(options.pop("method", "POST"), path, step, **options)
    assert answer is None or step == HALF_ANSWERED, "the step was not reached"
    assert replica.died
    return deed.done(scene)

"""The process dies at every step of every deed: all of it is done or nothing, and the client goes on (security.md §3)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.settings.paid import Facilitator
from tests.actors import App, Browser
from tests.conftest import House, emptied, left
from tests.facilitators import Chain
from tests.staged.deeds import DEEDS, NEVER, Deed, Scene
from tests.staged.replica import Replica
from tests.staged.steps import BEFORE_ANSWER, HALF_ANSWERED
from tests.upstreams import Upstream

pytestmark = pytest.mark.long

EVERY_STEP = (
    "STAGED_EVERY_STEP" in os.environ
)  # else those that change something: the others leave what was there before
CHANGES = ("INSERT", "UPDATE", "DELETE", "WITH", "COMMIT")


@pytest.fixture(scope="module")
def service() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def offered(service: Upstream) -> Iterator[dict[str, Any]]:
    """How the house is set up, and every replica of it: tools for sats, a node that pretends, coins, a service to sign in with."""
    chain = Chain()
    yield {
        "lightning_url": SecretStr("pretend:"),
        "resources_file": Path(__file__).with_name("deeds.toml"),
        "paid_scope": ("shop/read", "shop/write", "read", "write"),
        "facilitator": Facilitator(**chain.settings),
        "providers": SecretStr(json.dumps({"acme": service.definition()})),
        "sign_up": "open",
    }
    chain.close()


@pytest.fixture(scope="module")
def lasting(dsn: str, offered: dict[str, Any]) -> Iterator[House]:
    """The house that stays up."""
    house = House(dsn, **offered).start()
    yield house
    house.stop()


@pytest.fixture
def begun(lasting: House, service: Upstream) -> Iterator[Callable[[], Scene]]:
    """The house as if nobody had been there yet, but Ada."""

    def begin() -> Scene:
        left(lasting)
        emptied(lasting)
        service.is_right_again()
        lasting.add_user()
        scene = Scene(lasting, Browser(lasting.url), App(lasting.url), service)
        scene.app.register()
        return scene

    yield begin
    left(lasting)


class Doomed:
    """Replicas of one house, the next of which starts while the last is looked at."""

    def __init__(self, house: House, offered: dict[str, Any]) -> None:
        self._house, self._offered = house, offered
        self._pool = ThreadPoolExecutor(1)
        self._next = self._started()

    def __call__(self) -> Replica:
        ready, self._next = self._next, self._started()
        return ready.result()

    def _started(self) -> Future[Replica]:
        return self._pool.submit(Replica, self._house.dsn, public_url=self._house.url, **self._offered)

    def close(self) -> None:
        self._next.result().stop()
        self._pool.shutdown()


@pytest.fixture(scope="module")
def doomed(lasting: House, offered: dict[str, Any]) -> Iterator[Doomed]:
    waiting = Doomed(lasting, offered)
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
    deed: Deed, begun: Callable[[], Scene], doomed: Callable[[], Replica]
) -> None:
    whole = doomed()
    statements = steps_of(deed, begun(), whole)
    whole.stop()
    assert any(statement.startswith(CHANGES) for statement in statements), "the hooks see what is sent"
    places = [
        str(number) for number, statement in enumerate(statements, 1) if EVERY_STEP or statement.startswith(CHANGES)
    ]
    steps = [*places, BEFORE_ANSWER, HALF_ANSWERED] if EVERY_STEP else [*places, BEFORE_ANSWER]
    outcomes = []
    for step in steps:
        scene = begun()
        outcomes.append(died_at(deed, step, scene, doomed()))
        deed.go_on(scene, outcomes[-1])
        for what, query in NEVER.items():
            assert not scene.house.sql(query), f"{what}, after step {step} of {statements}"
    assert outcomes == sorted(outcomes), f"once done, it stays done: {list(zip(steps, outcomes, strict=True))}"
    assert outcomes[-1], "what was answered was done"


def died_at(deed: Deed, step: str, scene: Scene, replica: Replica) -> bool:
    """Whether the deed was done, though the process died there."""
    path, options = deed.begin(scene)
    scene.kept["request"] = path, dict(options)
    answer = replica.ask(options.pop("method", "POST"), path, step, **options)
    assert answer is None or step == HALF_ANSWERED, f"the step was not reached: {answer.text}"
    assert replica.died
    return deed.done(scene)

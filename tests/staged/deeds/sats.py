"""Sats are spent from a budget: by a charge, by a call that has a price, by one that is settled when its cost is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app.metering import budgets
from app.metering.model import CONNECTION
from app.metering.store import settle_overdue
from tests.agents import Agent, agent
from tests.staged.deeds.scene import Deed, Request, Scene, again

ACCEPT = {"Accept": "application/json, text/event-stream"}


def charged(scene: Scene) -> bool:
    return scene.same(scene.count("charges"), scene.count("budgets", "day_calls = 1"))


def balances(scene: Scene) -> tuple[object, ...]:
    """What of the allowance is used, what was paid for is left, what was spent today."""
    (row,) = scene.house.sql("SELECT day_free_sats, funded_sats, day_sats FROM budgets")
    return row


# By the session itself (POST /api/mcp/charge): seven sats, five of which are free.
def begin_charge(scene: Scene) -> Request:
    robot = buyer(scene)
    scene.house.sql("UPDATE budgets SET allowance_sats = 5")
    body = {"callCostSats": 7, "toolName": "search", "idempotencyKey": "k1"}
    return "/api/mcp/charge", {"json": body, "headers": robot.bearer}


def buyer(scene: Scene) -> Agent:
    robot = agent(scene.house, session_sats=50)
    robot.buy()
    return robot


def charge_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert answer.json() == {"status": "ok", "callsUsed": 1, "satsUsed": 7}
    assert ("idempotency-replayed" in answer.headers) == done
    assert charged(scene)
    assert balances(scene) == (5, 48, 7)


# By a call on /mcp, charged before it is made: with its key it is made once at most.
def begin_call(scene: Scene) -> Request:
    return _call(scene, "add_note", text="once")


def _call(scene: Scene, tool: str, **arguments: Any) -> Request:
    token = scene.app.connect(scene.browser)["access_token"]
    ((connection, user_id),) = scene.house.sql("SELECT id, user_id FROM connections")

    async def give() -> None:
        world = scene.house.world
        async with world.db.begin() as db:
            limits = {"allowance_sats": 10, "user_id": str(user_id)}
            await budgets.open_budget(db, str(connection), CONNECTION, world.now(), **limits)  # type: ignore[arg-type]

    scene.house.wait_for(give())
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {**ACCEPT, "Authorization": f"Bearer {token}", "Idempotency-Key": "k1"}
    return "/mcp", {"json": message, "headers": headers}


def call_again(scene: Scene, done: bool) -> None:
    called = scene.count("notes")
    assert called <= scene.count("charges"), "nothing is done that was not charged"
    assert again(scene).status_code == (409 if done else 200)
    assert charged(scene)
    assert balances(scene) == (3, 0, 3)
    assert scene.count("notes") == (called if done else 1)


# By a call whose cost its tool says: held back at first, and charged in full when nobody comes to settle it.
def begin_metered(scene: Scene) -> Request:
    return _call(scene, "list_notes")


def metered_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == (409 if done else 200)
    world = scene.house.world
    scene.house.wait_for(settle_overdue(world.pool, world.now() + timedelta(minutes=11)))
    assert scene.house.sql("SELECT state, sats, reserved_until FROM charges") == [("charged", 5, None)]
    assert balances(scene) == (5, 0, 5)


DEEDS = (
    Deed("charge", begin_charge, charged, charge_again),
    Deed("priced-call", begin_call, charged, call_again),
    Deed("metered-call", begin_metered, charged, metered_again),
)

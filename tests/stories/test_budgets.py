"""Budgets of people's API keys and connections, the ledger for the books, and what of it goes with an account."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from app.metering.store import settle_overdue
from app.operate.sweep import sweep
from app.users.remove import remove
from tests.actors import App, Browser, http
from tests.agents import agent
from tests.conftest import House


def charged(house: House, token: str, sats: int, **more: object) -> tuple[int, dict[str, object]]:
    answer = http().post(
        f"{house.url}/api/mcp/charge",
        json={"callCostSats": sats, **more},
        headers={"Authorization": f"Bearer {token}"},
    )
    return answer.status_code, answer.json()


def test_an_api_key_and_a_connection_have_budgets_of_their_own(house: House, app: App, browser: Browser) -> None:
    token = str(app.connect(browser)["access_token"])
    key = house.operator("api-key", "add", "laptop", "--user", "ada@example.com", "--quiet").strip()
    status, refused = charged(house, key, 1)
    assert (status, refused["error"]) == (403, "no_budget")
    assert charged(house, token, 1)[0] == 403
    ((key_id,),) = house.sql("SELECT id FROM api_keys")
    ((connection,),) = house.sql("SELECT id FROM connections")
    house.operator("budget", "set", str(key_id), "--allowance", "10", "--calls", "5")
    house.operator("budget", "set", str(connection), "--allowance", "3")
    assert charged(house, key, 7)[1] == {"status": "ok", "callsUsed": 1, "satsUsed": 7}
    assert charged(house, key, 4)[1]["reason"] == "budget_exceeded"
    assert charged(house, token, 3)[1]["status"] == "ok"
    house.operator("budget", "set", str(key_id), "--allowance", "11")
    assert charged(house, key, 4)[1] == {"status": "ok", "callsUsed": 2, "satsUsed": 11}
    listed = json.loads(house.operator("budget", "list", "--json"))
    assert {row["id"]: row["left"] for row in listed} == {key_id: 0, connection: 0}
    assert "no API key" in house.operator("budget", "set", "key_nobodys", "--allowance", "1", code=1)


def test_the_ledger_is_for_the_books(house: House) -> None:
    robot = agent(house, allowance_sats=50)
    robot.work()
    robot.charge(5, toolName="search")
    robot.charge(7, toolName="=cmd")
    rows = [json.loads(line) for line in house.operator("budget", "ledger").splitlines()]
    assert [(row["sats"], row["tool"], row["state"]) for row in rows] == [
        (5, "search", "charged"),
        (7, "=cmd", "charged"),
    ]
    csv = house.operator("budget", "ledger", "--csv", "--since", "1d").splitlines()
    assert csv[0].startswith("at,budget_id,tool,sats")
    assert len(csv) == 3
    assert ",'=cmd," in csv[2], "no spreadsheet runs it"
    assert house.operator("budget", "ledger", "--budget", "another") == ""


def test_whoever_reads_only_the_beginning_is_told_nothing_of_the_database(house: House) -> None:
    """`| head`: what reads our output has gone."""
    robot = agent(house, allowance_sats=50)
    robot.work()
    robot.charge(5)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-u", "-m", "app", "budget", "ledger"]
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=house.environment(), text=True)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, "")


def test_what_somebody_spent_goes_with_the_account(house: House) -> None:
    user_id = house.add_user()
    key = house.operator("api-key", "add", "laptop", "--user", "ada@example.com", "--quiet").strip()
    ((key_id,),) = house.sql("SELECT id FROM api_keys")
    house.operator("budget", "set", str(key_id), "--allowance", "10")
    charged(house, key, 2)

    async def leave() -> bool:
        async with house.world.db.begin() as db:
            now = house.world.now()
            return await remove(db, user_id, user_id, now, lifetime=house.world.token_lifetime)

    assert house.wait_for(leave())
    assert house.sql("SELECT (SELECT count(*) FROM budgets), (SELECT count(*) FROM charges)") == [(0, 0)]


def test_the_sweep_keeps_what_was_spent_and_drops_what_was_not(house: House) -> None:
    idle, busy = agent(house), agent(house)
    idle.work()
    busy.work()
    busy.charge(1)
    paid = agent(house)
    paid.start(forceLightning=True)
    house.turn_clock(days=9)
    house.wait_for(sweep(house.world, house.world.now()))
    assert house.sql("SELECT (SELECT count(*) FROM agent_sessions), (SELECT count(*) FROM budgets)") == [(1, 1)]
    house.wait_for(settle_overdue(house.world.pool, house.world.now()))
    house.turn_clock(days=400)
    for _ in range(2):
        house.wait_for(sweep(house.world, house.world.now()))
    counts = "SELECT (SELECT count(*) FROM budgets) + (SELECT count(*) FROM charges) + (SELECT count(*) FROM payments)"
    assert house.sql(counts) == [(0,)]

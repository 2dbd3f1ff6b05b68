"""`gatehouse agent`: the seed's seven tools on standard input and output, and the tools of /mcp behind them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.agents import agent, project
from tests.bridges import environment, ran
from tests.conftest import ROOT, House

SEVEN = {f"liveauth_mcp_{name}" for name in ("start", "confirm", "status", "lnurl", "charge", "usage", "refresh")}
Talk = Callable[[Client], Awaitable[None]]


def with_agent(house: House, home: Path, talk: Talk, *options: str, **variables: str) -> None:
    """The official MCP client starts it, as a host would."""

    async def run() -> None:
        parameters = StdioServerParameters(
            command=sys.executable,
            args=["-m", "app", "agent", "--url", house.url, *options],
            env=environment(home, **variables),
            cwd=str(ROOT),
        )
        async with Client(stdio_client(parameters)) as client:
            await talk(client)

    asyncio.run(run())


async def tool(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(f"liveauth_mcp_{name}", arguments)
    told: dict[str, Any] = json.loads(answer.content[0].text)  # type: ignore[union-attr]
    assert bool(answer.is_error) == ("error" in told)
    return told


def test_it_works_for_a_session_and_calls_the_tools(house: House, tmp_path: Path) -> None:
    key = project(house, allowance_sats=50)

    async def talk(client: Client) -> None:
        names = {found.name for found in (await client.list_tools()).tools}
        assert names > SEVEN
        assert "whoami" in names, "what is behind /mcp is there too"
        who = (await client.call_tool("whoami", {})).structured_content
        assert who is not None
        assert who["via"] == "mcp_pow"
        assert await tool(client, "charge", callCostSats=15) == {"status": "ok", "callsUsed": 1, "satsUsed": 15}
        assert (await tool(client, "usage"))["remainingBudgetSats"] == 35
        assert (await tool(client, "charge", callCostSats=1000))["status"] == "deny"
        assert (await tool(client, "refresh"))["remainingBudgetSats"] == 35
        refused = await client.call_tool("add_note", {"text": "x"})
        assert refused.is_error

    with_agent(house, tmp_path, talk, "--key", key)


def test_the_seven_one_after_another(house: House, tmp_path: Path) -> None:
    """As the seed describes it, with the solution worked out by the caller, or by the agent."""
    robot = agent(house, session_sats=21)

    async def talk(client: Client) -> None:
        started = await tool(client, "start")
        body = robot.solved(started)
        body["signature"] = body.pop("sig")
        assert (await tool(client, "confirm", **body)).keys() == {
            "jwt",
            "expiresIn",
            "remainingBudgetSats",
            "refreshToken",
        }
        assert (await tool(client, "status", quoteId=started["quoteId"]))["status"] == "confirmed"
        started = await tool(client, "start")
        assert (await tool(client, "confirm", quoteId=started["quoteId"]))["jwt"]
        started = await tool(client, "start", forceLightning=True)
        assert (await tool(client, "lnurl", quoteId=started["quoteId"]))["pr"] == started["invoice"]["bolt11"]
        assert (await tool(client, "confirm", quoteId=started["quoteId"]))["paymentStatus"] == "paid"
        assert (await tool(client, "usage"))["remainingBudgetSats"] == 21
        assert "error" in await tool(client, "confirm", quoteId=started["quoteId"])
        assert "quoteId" in (await tool(client, "status"))["error"]

    options = ("--key", robot.key, "--wallet-env", "WALLET", "--most-sats", "21")
    with_agent(house, tmp_path, talk, *options, WALLET="pretend:")


def test_it_pays_no_more_than_it_was_told(house: House, tmp_path: Path) -> None:
    key = project(house, session_sats=50)

    async def talk(client: Client) -> None:
        assert "only 49 may be spent" in (await tool(client, "usage"))["error"]
        assert house.sql("SELECT count(*) FROM agent_sessions") == [(0,)]

    with_agent(house, tmp_path, talk, "--key", key, "--pay", "--wallet-env", "W", "--most-sats", "49", W="pretend:")


def test_the_demo_is_paid_and_real(house: House, tmp_path: Path) -> None:
    async def talk(client: Client) -> None:
        started = await tool(client, "start")
        assert started["invoice"]["amountSats"] == 3
        assert (await tool(client, "confirm", quoteId=started["quoteId"]))["jwt"].startswith("ey")
        assert (await tool(client, "usage"))["remainingBudgetSats"] == 3

    with_agent(house, tmp_path, talk, "--wallet-env", "WALLET", WALLET="pretend:")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--url", "http://mcp.example.com"), "is not https"),
        (("--url", "https://mcp.example.com", "--wallet-env", "NOTHING"), "has no NOTHING"),
        (("--url", "http://localhost:1", "--wallet-env", "HOME"), "the wallet's URL"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    process = ran(tmp_path, "agent", *arguments)
    assert process.returncode in (1, 2)
    assert said in process.stderr
    assert "Traceback" not in process.stderr

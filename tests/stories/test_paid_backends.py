"""Whatever stands behind the guard can cost sats: a Python server, one far away, one on stdio; whole answers and streams."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import SecretStr
from starlette.types import Scope, Send

from app.metering.budgets import open_budget
from app.metering.model import API_KEY
from app.settings.paid import Facilitator
from tests import servers
from tests.actors import http
from tests.agents import Agent
from tests.backends import Backend, Received, Wire, answer
from tests.conftest import PRICED, House, emptied, left
from tests.facilitators import Chain
from tests.payers import HEADERS, L402, Bill, Payer, b64json, call, unb64json
from tests.stdio_house import script

FILE = """
[resources.python]
path = "/mcp"
title = "In this process"
python = "tests.servers:echo"

[resources.python.tools]
"go*" = {{ scope = "read", price = 7 }}
go_far = {{ scope = "read", price = 1000 }}
metered = {{ scope = "read", price = 10, metered = true }}

[resources.remote]
path = "/remote/mcp"
title = "Far away"
url = "{url}"
tools = {{ "go*" = {{ scope = "read", price = 7 }}, metered = {{ scope = "read", price = 10, metered = true }} }}

[resources.stdio]
path = "/stdio/mcp"
title = "A program"
command = {command}
tools = {{ "go*" = {{ scope = "read", price = 7 }}, metered = {{ scope = "read", price = 10, metered = true }} }}
"""
SCRIPT = """
import os
def call(asked, name, how="well", **more):
    note(method="notifications/message", params={"level": "info", "data": json.dumps(asked)})
    result(asked, **RESULTS[how])
"""
RESULTS: dict[str, dict[str, Any]] = {
    "well": {"content": [{"type": "text", "text": "done"}]},
    "badly": {"content": [{"type": "text", "text": "no"}], "isError": True},
    "for three": {"content": [], "_meta": {"gatehouse/sats": 3}},
    "for more than agreed": {"content": [], "_meta": {"gatehouse/sats": 1000}},
    "for nothing": {"content": [], "_meta": {"gatehouse/sats": 0}},
    "for less than nothing": {"content": [], "_meta": {"gatehouse/sats": -5}},
    "asking back": {"resultType": "input_required", "inputRequests": {}},
}
HEARD: list[str] = []  # what the servers behind the guard were sent


def result_of(message: dict[str, Any]) -> dict[str, Any]:
    return RESULTS[message["params"].get("arguments", {}).get("how", "well")]


async def in_process(scope: Scope, body: bytes, send: Send) -> None:
    """`go_streaming` answers in a stream, whose result is its second event."""
    message = json.loads(body)
    HEARD.append(f"{scope['headers']} {body.decode()}")
    said = {"jsonrpc": "2.0", "id": message["id"], "result": result_of(message)}
    if message["params"]["name"] == "go_streaming":
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
        events = [f"event: message\ndata: {json.dumps(one)}\n\n".encode() for one in (note, said)]
        await servers.streamed(send, *(events[:1] if "cut" in message["params"]["arguments"] else events))
    elif message["params"]["name"] == "go_falling":
        raise RuntimeError("fell")
    else:
        await servers.whole(send, json.dumps(said).encode())


async def far_away(asked: Received, wire: Wire) -> None:
    message = asked.message
    HEARD.append(f"{asked.headers} {asked.body.decode()}")
    if message["params"]["name"] == "go_falling":
        wire.cut()
    elif message["params"]["name"] == "go_streaming":
        await wire.stream()
        arguments = message["params"]["arguments"]
        await wire.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}, arguments.get("id"))
        if arguments.get("waits"):
            await asyncio.Event().wait()
        if not arguments.get("cut"):
            await wire.event(answer(asked, result_of(message)))
        await wire.end()
    else:
        await wire.result(asked, result_of(message))


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    chain = Chain()
    yield chain
    chain.close()


@pytest.fixture(scope="module")
def served(dsn: str, chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, backend = tmp_path_factory.mktemp("paid"), Backend(far_away)
    command = script(folder, f"RESULTS = {RESULTS!r}\n" + SCRIPT.strip())
    assert command[0] == sys.executable
    file = folder / "gatehouse.toml"
    file.write_text(FILE.format(url=backend.url, command=json.dumps(list(command))))
    guests = ("read", "remote/read", "stdio/read")
    coins = Facilitator(**chain.settings)
    house = House(
        dsn, lightning_url=SecretStr("pretend:"), resources_file=file, paid_scope=guests, facilitator=coins
    ).start()
    yield house
    house.stop()
    backend.close()


@pytest.fixture
def priced(served: House) -> Iterator[House]:
    servers.echo.answer = in_process
    HEARD.clear()
    yield emptied(served)
    servers.echo.answer = servers.as_json
    left(served)


EVERYWHERE = pytest.mark.parametrize("path", ["/mcp", "/remote/mcp", "/stdio/mcp"])
STREAMING = pytest.mark.parametrize("path", ["/mcp", "/remote/mcp"])


def claims_of(house: House, signed: str) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_dict(http().get(f"{house.url}/.well-known/jwks.json").json())
    key = keys[jwt.get_unverified_header(signed)["kid"]].key
    claims: dict[str, Any] = jwt.decode(signed, key, algorithms=["ES256"], options={"verify_iat": False})
    return claims


def with_budget(house: House, path: str, sats: int) -> Payer:
    """Somebody with an API key that may spend so much."""
    house.add_user()
    name = path.split("/")[1]
    scope = "read" if name == "mcp" else f"{name}/read"
    key = house.operator("api-key", "add", "x", "--user", "ada@example.com", "--scope", scope, "--quiet").strip()
    [(key_id, owner)] = house.sql("SELECT id, user_id FROM api_keys")

    async def give() -> None:
        async with house.world.db.begin() as db:
            now = house.world.now()
            await open_budget(db, str(key_id), API_KEY, now, allowance_sats=sats, user_id=str(owner))

    house.wait_for(give())
    return Payer(house, key, path)


@EVERYWHERE
def test_a_guest_pays_for_a_call(priced: House, path: str) -> None:
    guest = Payer(priced, path=path)
    bill = Bill.of(guest.post(call("go")))
    assert bill.accepted["amount"] == "7000"
    preimage = guest.pay(bill)
    given = guest.post(call("go"), bill.headers(L402, preimage))
    assert given.status_code == 200, given.text
    result = given.json()["result"]
    assert result["content"][0]["text"] == "done"
    claims = claims_of(priced, given.headers["gatehouse-receipt"])
    assert (claims["resource"], claims["tool"], claims["sats"]) == (f"{priced.url}{path}", "go", 7)
    assert result["_meta"]["gatehouse/receipt"] == given.headers["gatehouse-receipt"]
    assert guest.post(call("go"), bill.headers(L402, preimage)).status_code == 402, "once"
    assert guest.post(call("free"), bill.headers(L402, preimage)).status_code == 401


@EVERYWHERE
def test_a_payment_stops_at_the_door(priced: House, path: str) -> None:
    """Neither a header nor `_meta` takes it to the server, which could use it itself; what else is in `_meta` goes on."""
    member = with_budget(priced, path, 0)
    bill = Bill.of_tool(member.post(call("go")))
    preimage = member.pay(bill)
    meta = {"org.paymentauth/credential": bill.credential(preimage), "progressToken": "p-1"}
    assert member.post(call("go", meta)).json()["result"]["content"][0]["text"] == "done"
    if path != "/stdio/mcp":
        assert "p-1" in HEARD[-1]
        assert preimage not in "".join(HEARD)
        assert "paymentauth" not in "".join(HEARD)


def test_what_is_paid_for_one_resource_buys_nothing_at_another(priced: House) -> None:
    here, there = Payer(priced, path="/mcp"), Payer(priced, path="/remote/mcp")
    bill = Bill.of(here.post(call("go")))
    preimage = here.pay(bill)
    for dialect in ("L402", "Payment", "x402", "preimage"):
        assert there.post(call("go"), bill.headers(dialect, preimage)).status_code == 402
    assert here.post(call("go"), bill.headers(L402, preimage)).status_code == 200


def test_a_bought_token_is_for_its_resource(priced: House) -> None:
    guest, resource = Payer(priced, path="/remote/mcp"), f"{priced.url}/remote/mcp"
    bill = Bill.of(guest.ask(sats="20", resource=resource))
    bought = guest.ask(bill.headers(L402, guest.pay(bill)), sats="20", resource=resource)
    assert bought.status_code == 200, bought.text
    buyer = Payer(priced, bought.json()["access_token"], "/remote/mcp")
    given = buyer.post(call("go"))
    assert claims_of(priced, given.headers["gatehouse-receipt"])["remainingSats"] == 13
    assert Payer(priced, buyer.token, "/mcp").post(call("go")).status_code == 401


@EVERYWHERE
@pytest.mark.parametrize("how", ["badly", "asking back"])
def test_what_did_not_work_is_not_paid(priced: House, path: str, how: str) -> None:
    """A tool that asks back is paid when it is called with the answer."""
    guest = Payer(priced, path=path)
    bill = Bill.of(guest.post(call("go")))
    headers = bill.headers(L402, guest.pay(bill))
    failed = guest.post(call("go", how=how), headers)
    assert (failed.status_code, "gatehouse-receipt" in failed.headers) == (200, False), failed.text
    assert guest.post(call("go"), headers).status_code == 200
    member = with_budget(priced, path, 7)
    member.post(call("go", how=how))
    assert priced.sql("SELECT day_sats FROM budgets") == [(0,)]


def test_what_was_settled_on_a_chain_is_good_once_more_when_the_tool_fails(priced: House, chain: Chain) -> None:
    """Nobody can give it back, and nothing is settled twice: the same payment is taken until the tool has worked."""
    chain.asked.clear()
    guest = Payer(priced, path="/stdio/mcp")
    coins = unb64json(guest.post(call("go")).headers["payment-required"])["accepts"][1]
    headers = {"PAYMENT-SIGNATURE": b64json({"x402Version": 2, "accepted": coins, "payload": {"nonce": "n"}})}
    for how in ("badly", "asking back"):
        failed = guest.post(call("go", how=how), headers)
        assert (failed.status_code, "payment-response" in failed.headers) == (200, False)
    assert Payer(priced, path="/mcp").post(call("go"), headers).status_code == 402, "only for what it was paid"
    given = guest.post(call("go"), headers)
    assert claims_of(priced, given.headers["gatehouse-receipt"])["transaction"].startswith("0x")
    assert guest.post(call("go"), headers).status_code == 402
    assert [what for what, _ in chain.asked] == ["verify", "settle"]


def test_what_was_settled_buys_once_whoever_is_quickest(priced: House) -> None:
    """Sixteen at once with one payment that is on its chain, and that nothing was given for yet."""
    guest = Payer(priced, path="/mcp")
    coins = unb64json(guest.post(call("go")).headers["payment-required"])["accepts"][1]
    headers = {"PAYMENT-SIGNATURE": b64json({"x402Version": 2, "accepted": coins, "payload": {"nonce": "race"}})}
    assert guest.post(call("go", how="badly"), headers).json()["result"]["isError"] is True
    gate = threading.Barrier(16)

    def run(_: int) -> int:
        gate.wait()
        return guest.post(call("go"), headers).status_code

    with ThreadPoolExecutor(16) as threads:
        assert sorted(threads.map(run, range(16))) == [200] + [402] * 15


@STREAMING
def test_a_server_that_falls_is_not_paid(priced: House, path: str) -> None:
    member = with_budget(priced, path, 7)
    assert member.post(call("go_falling")).status_code >= 500
    assert priced.sql("SELECT day_sats FROM budgets") == [(0,)]


@STREAMING
def test_in_a_stream_the_receipt_comes_with_the_result(priced: House, path: str) -> None:
    """Not with its head, when nobody knows yet whether there will be one."""
    member = with_budget(priced, path, 7)
    streamed = member.post(call("go_streaming"))
    assert "gatehouse-receipt" not in streamed.headers
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert "result" not in events[0]
    assert claims_of(priced, events[1]["result"]["_meta"]["gatehouse/receipt"])["sats"] == 7
    assert priced.sql("SELECT day_sats FROM budgets") == [(7,)]


def test_a_stream_without_a_result_is_not_paid(priced: House) -> None:
    member = with_budget(priced, "/mcp", 7)
    assert member.post(call("go_streaming", cut=True)).status_code == 200
    assert priced.sql("SELECT day_sats FROM budgets") == [(0,)]
    member.post(call("go_streaming", how="badly"))
    assert priced.sql("SELECT day_sats FROM budgets") == [(0,)]


def test_a_stream_that_can_be_taken_up_again_is_paid(priced: House) -> None:
    """Its events have ids, by which the caller gets the result without paying (MCP transport, "Resumability")."""
    member = with_budget(priced, "/remote/mcp", 14)
    assert member.post(call("go_streaming", cut=True)).status_code == 200
    assert priced.sql("SELECT day_sats FROM budgets") == [(0,)]
    assert "id: e-1" in member.post(call("go_streaming", cut=True, id="e-1")).text
    assert priced.sql("SELECT day_sats FROM budgets") == [(7,)]


def test_whoever_ends_the_token_of_a_call_has_had_it(priced: House) -> None:
    """Else one payment would buy any number of tools that do something before they answer."""
    member = with_budget(priced, "/remote/mcp", 20)
    headers = {**HEADERS, "Authorization": f"Bearer {member.token}"}
    asked = call("go_streaming", waits=True)
    with http().stream("POST", f"{priced.url}/remote/mcp", json=asked, headers=headers) as streamed:
        lines = streamed.iter_lines()
        assert "progress" in next(line for line in lines if line.startswith("data:"))
        priced.operator("api-key", "revoke", str(priced.sql("SELECT id FROM api_keys")[0][0]))
        priced.catch_up()
        assert "no longer valid" in "".join(lines)
    assert priced.sql("SELECT day_sats FROM budgets") == [(7,)]


def test_a_blank_after_its_name_makes_no_tool_cheaper(priced: House) -> None:
    """`go_far ` would be one of `go*`, and the same offer as `go_far`."""
    guest = Payer(priced)
    assert Bill.of(guest.post(call("go_far"))).accepted["amount"] == "1000000"
    for name in ("go_far ", "go_far\n", "go_far\u00a0", " go_far", ""):
        assert guest.post(call(name)).status_code == 400
    bill = Bill.of(guest.post(call("go_fa")))
    preimage = guest.pay(bill)
    for dialect in ("L402", "Payment", "x402", "preimage"):
        assert guest.post(call("go_far"), bill.headers(dialect, preimage)).status_code == 402


@EVERYWHERE
def test_what_a_call_cost_is_known_afterwards(priced: House, path: str) -> None:
    """`metered`: so much is held back, and what the tool says that it cost is taken; never more, and all when it says nothing."""
    member = with_budget(priced, path, 100)
    spent = 0
    for how, cost in {"for three": 3, "for more than agreed": 10, "for nothing": 0, "well": 10}.items():
        given = member.post(call("metered", how=how))
        spent += cost
        claims = claims_of(priced, given.headers["gatehouse-receipt"])
        assert (claims["sats"], claims["remainingSats"]) == (cost, 100 - spent), how
    member.post(call("metered", how="for less than nothing"))
    member.post(call("metered", how="badly"))
    assert priced.sql("SELECT day_sats FROM budgets") == [(spent + 10,)]
    assert priced.sql("SELECT count(*) FROM charges WHERE state = 'reserved'") == [(0,)]
    member.post(call("go", how="for three"))
    assert priced.sql("SELECT day_sats FROM budgets") == [(spent + 17,)], "where it is not metered a price is a price"


def test_where_nothing_can_be_paid_a_price_is_no_gift(dsn: str) -> None:
    """No node: budgets still pay, and nobody else gets the call."""
    house = emptied(House(dsn, resources_file=PRICED, paid_scope=("read",)).start())
    try:
        assert Payer(house).post(call("whoami")).status_code == 402
        member = with_budget(house, "/mcp", 21)
        assert member.post(call("whoami")).status_code == 200
        answer = member.post(call("whoami"))
        assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (402, -32007, 7)
        assert Payer(house).ask(sats="5").status_code == 501
    finally:
        house.stop()


def test_agents_are_given_the_scopes_of_the_resource_that_there_is(dsn: str, tmp_path: Path) -> None:
    """Where it has words of its own, a project and the demo have them too."""
    file = tmp_path / "gatehouse.toml"
    file.write_text(
        '[resources.books]\npath = "/books"\ntitle = "Books"\npython = "tests.servers:echo"\n'
        'scopes = { "books:read" = "Look", "books:lend" = "Lend" }\ntools = { look = "books:read", lend = "books:lend" }\n'
    )
    house = emptied(House(dsn, resources_file=file, lightning_url=SecretStr("pretend:")).start())
    try:
        key = house.operator("project", "add", "Readers", "--bits", "4", "--quiet").strip()
        lenders = house.operator("project", "add", "L", "--bits", "4", "--scope", "books:lend books:read", "--quiet")
        assert "books:lend books:read" in house.operator("project", "add", "X", "--scope", "read", code=2)
        reader, lender, demo = Agent(house, key), Agent(house, lenders.strip()), Agent(house, "")
        reader.work()
        lender.work()
        started = demo.post("/api/public/demo/start").json()
        demo.pay(started["invoice"])
        house.turn_clock(seconds=2)
        demo.jwt = demo.post("/api/public/demo/confirm", {"sessionId": started["sessionId"]}).json()["token"]
        for robot, lends in ((reader, 403), (lender, 200), (demo, 403)):
            member = Payer(house, robot.jwt, "/books")
            assert member.post(call("look")).status_code == 200
            assert member.post(call("lend")).status_code == lends
    finally:
        house.stop()


def test_the_file_says_what_a_price_is(tmp_path: Path) -> None:
    """Whole sats."""
    from app.resources.listed import listed
    from app.resources.read import ResourcesError, Source

    file = tmp_path / "gatehouse.toml"
    for price in ("-1", "1.5", '"7"', "true", "10000000000"):
        file.write_text(
            f'[resources.a]\npath = "/mcp"\ntitle = "A"\nbuiltin = true\ntools = {{ x = {{ price = {price} }} }}'
        )
        with pytest.raises(ResourcesError, match="price"):
            listed(Source(file, {}), "http://localhost")

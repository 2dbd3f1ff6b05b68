"""What was worked or paid for is given: a session, a token, one call; the payment is claimed with it, or not at all."""

from __future__ import annotations

import secrets
from typing import Any

import httpx2

from app.selling.settlements.store import UNSETTLED
from tests.agents import agent
from tests.payers import HEADERS, L402, Bill, Payer, b64json, call, unb64json
from tests.staged.deeds.scene import Deed, Request, Scene, again

GRANT = "urn:gatehouse:grant-type:payment"
SHOP = "/shop/mcp"


def claimed(scene: Scene) -> bool:
    return scene.same(scene.count("payments", "claimed_at IS NOT NULL"), scene.noted("payment.claimed"))


def sold(scene: Scene) -> bool:
    return scene.same(claimed(scene), scene.count("agent_sessions"), scene.count("budgets"))


# Work (POST /api/mcp/confirm): a solution is a session once; whoever heard nothing works once more.
def begin_work(scene: Scene) -> Request:
    robot = scene.kept["robot"] = agent(scene.house)
    return "/api/mcp/confirm", {"json": robot.solved(robot.start()), "headers": {"X-LW-Public": robot.key}}


def worked(scene: Scene) -> bool:
    return scene.same(scene.count("agent_sessions"), scene.count("budgets"))


def work_again(scene: Scene, done: bool) -> None:
    assert again(scene).status_code == (400 if done else 200)
    assert worked(scene)
    assert scene.kept["robot"].work()["jwt"]


# A session that was paid for: whoever has the preimage gets the same once more.
def begin_session(scene: Scene) -> Request:
    robot = agent(scene.house, session_sats=50)
    started = robot.start(forceLightning=True)
    body = {"quoteId": started["quoteId"], "preimage": robot.pay(started["invoice"]["bolt11"])}
    return "/api/mcp/confirm", {"json": body, "headers": {"X-LW-Public": robot.key}}


def session_again(scene: Scene, done: bool) -> None:
    def look() -> Any:
        answer = again(scene)
        assert answer.status_code == 200, answer.text
        return answer.json()

    found = look()
    if found["paymentStatus"] == "pending":  # who died had asked the node, which is asked once a second
        assert not done
        scene.house.turn_clock(seconds=2)
        found = look()
    assert (found["paymentStatus"], found["remainingBudgetSats"]) == ("paid", 50)
    assert found["jwt"]
    assert sold(scene)


# A payment is traded for a token (POST /token).
def begin_token(scene: Scene) -> Request:
    payer = Payer(scene.house)
    bill = Bill.of(payer.ask(sats="20"))
    form = {"grant_type": GRANT, "sats": "20"}
    return "/token", {"data": form, "headers": bill.headers(L402, payer.pay(bill))}


def token_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert answer.status_code == 200, answer.text
    assert sold(scene)
    assert scene.count("budgets", "funded_sats = 20") == 1


# A call with its payment (402): claimed before it is made, so it is made once at most.
def begin_paid_call(scene: Scene) -> Request:
    payer = Payer(scene.house, path=SHOP)
    bill = Bill.of(payer.post(call("whoami")))
    return SHOP, {"json": call("whoami"), "headers": HEADERS | bill.headers(L402, payer.pay(bill))}


def paid_call_again(scene: Scene, done: bool) -> None:
    answer = again(scene)
    assert answer.status_code == (402 if done else 200), answer.text
    assert claimed(scene)


# The same in coins, which a facilitator has settled: what nothing was given for is good once more.
def begin_coins(scene: Scene) -> Request:
    unpaid = Payer(scene.house, path=SHOP).post(call("whoami"))
    *_, coins = unb64json(unpaid.headers["payment-required"])["accepts"]
    payload = {"signature": "0x" + "ab" * 65, "authorization": {"nonce": secrets.token_hex(8)}}
    signed = b64json({"x402Version": 2, "accepted": coins, "payload": payload})
    return SHOP, {"json": call("whoami"), "headers": {**HEADERS, "PAYMENT-SIGNATURE": signed}}


def settled(scene: Scene) -> bool:
    given = scene.count("settlements", f"claimed_by <> '{UNSETTLED}'")
    return scene.same(given, scene.noted("payment.claimed"))


def coins_again(scene: Scene, done: bool) -> None:
    answer: httpx2.Response = again(scene)
    if answer.status_code == 503:  # whoever died may still be heard of
        scene.house.turn_clock(seconds=int(answer.headers["retry-after"]) + 1)
        answer = again(scene)
    assert answer.status_code == (402 if done else 200), answer.text
    if not done:
        assert answer.json()["result"]["isError"] is False
    assert settled(scene)


DEEDS = (
    Deed("work", begin_work, worked, work_again),
    Deed("session-for-sats", begin_session, sold, session_again),
    Deed("token-for-sats", begin_token, sold, token_again),
    Deed("paid-call", begin_paid_call, claimed, paid_call_again),
    Deed("call-for-coins", begin_coins, settled, coins_again),
)

"""Other people's clients pay our 402 and our unpaid tools: Alby's lightning-tools in all three dialects, mppx over HTTP and MCP."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

import pytest

from app.lightning.bolt11 import decode
from tests.actors import App, Browser
from tests.conftest import House
from tests.payers import HEADERS, Bill, Payer, call
from tests.referees import nodejs
from tests.referees.paying import installed

WHY_NOT = installed.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
FORM = "grant_type=urn:gatehouse:grant-type:payment&sats=100"


def pays(shop: House, **job: Any) -> dict[str, Any]:
    """What the client got in the end; its wallet is the pretend node's best customer."""
    payer = Payer(shop)
    command = [str(installed.node()), "payer.mjs", json.dumps(job)]
    env = nodejs.environment(installed.PLACE)
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    with subprocess.Popen(command, cwd=installed.PLACE, env=env, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            said = json.loads(line)
            if "pay" not in said:
                assert "got" in said, said
                got: dict[str, Any] = said["got"]
                return got
            bill = Bill(said["pay"], "", {}, {})
            assert decode(bill.invoice).payment_hash
            process.stdin.write(json.dumps({"preimage": payer.pay(bill)}) + "\n")
            process.stdin.flush()
        raise AssertionError(process.stderr.read())


def posted(message: Any, **headers: str) -> dict[str, Any]:
    return {"method": "POST", "headers": HEADERS | headers, "body": json.dumps(message)}


FORMED = {"method": "POST", "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": FORM}


@pytest.mark.parametrize("by", ["any", "l402"])
def test_alby_pays_for_a_call(shop: House, by: str) -> None:
    """Left to itself it takes the L402 that comes first."""
    got = pays(shop, client="alby", by=by, url=f"{shop.url}/mcp", init=posted(call("whoami")))
    assert (got["status"], got["paid"]) == (200, 1)
    assert json.loads(got["body"])["result"]["structuredContent"]["via"] == "payment"
    assert got["headers"]["gatehouse-receipt"]


def test_alby_pays_by_x402(shop: House) -> None:
    """Without the preimage, as its draft has it."""
    got = pays(shop, client="alby", by="x402", url=f"{shop.url}/mcp", init=posted(call("whoami")))
    assert (got["status"], got["paid"]) == (200, 1)
    assert json.loads(base64.b64decode(got["headers"]["payment-response"]))["success"] is True


def test_alby_never_pays_twice_for_what_it_has(shop: House) -> None:
    """A used credential gets a 402 with a new offer, which it leaves alone."""
    got = pays(shop, client="alby", by="any", url=f"{shop.url}/mcp", init=posted(call("whoami")), again=True)
    assert (got["status"], got["again"]["status"], got["again"]["paid"]) == (200, 402, 1)


def test_alby_buys_a_token_and_keeps_it(shop: House) -> None:
    """The same credential is good for another token of the same budget."""
    got = pays(shop, client="alby", by="any", url=f"{shop.url}/token", init=FORMED, again=True)
    assert (got["status"], got["again"]["status"], got["again"]["paid"]) == (200, 200, 1), got
    agent = Payer(shop, json.loads(got["again"]["body"])["access_token"])
    assert agent.post(call("whoami")).json()["result"]["isError"] is False


def test_mppx_pays_for_a_call(shop: House) -> None:
    """It finds `Payment` behind L402."""
    got = pays(shop, client="mppx-http", url=f"{shop.url}/mcp", init=posted(call("whoami")))
    assert (got["status"], got["paid"]) == (200, 1), got
    assert got["headers"]["payment-receipt"]


def test_mppx_buys_a_token(shop: House) -> None:
    got = pays(shop, client="mppx-http", url=f"{shop.url}/token", init=FORMED)
    assert (got["status"], got["paid"]) == (200, 1), got
    assert json.loads(got["body"])["token_type"] == "Bearer"


def test_mppx_pays_inside_mcp(shop: House) -> None:
    """The TypeScript SDK's client, wrapped: an ordinary connection that meets a priced tool."""
    shop.add_user()
    app = App(shop.url)
    app.register()
    token = app.connect(Browser(shop.url))["access_token"]
    wanted = {"name": "add_note", "arguments": {"text": "paid by mppx"}}
    got = pays(shop, client="mppx-mcp", url=f"{shop.url}/mcp", token=token, call=wanted)
    assert got["paid"] == 1
    assert got["result"]["structuredContent"]["text"] == "paid by mppx"
    assert got["result"]["receipt"]["status"] == "success"

"""The x402 package (PyPI): its client pays our 402 in stablecoins through a facilitator, and its schemas accept all that we send."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from app.settings.paid import Facilitator
from tests.actors import App, Browser
from tests.conftest import PRICED, House
from tests.facilitators import PAY_TO, Chain
from tests.payers import Payer, call
from tests.referees.paying import installed

WHY_NOT = installed.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture
def chain() -> Iterator[Chain]:
    chain = Chain()
    yield chain
    chain.close()


@pytest.fixture
def coins(dsn: str, chain: Chain, house: House) -> Iterator[House]:
    options: dict[str, Any] = {"resources_file": PRICED, "paid_scope": ("read",)}
    served = House(
        dsn, lightning_url=SecretStr("pretend:"), facilitator=Facilitator(**chain.settings), **options
    ).start()
    yield served
    served.stop()


def ran(program: str, *arguments: str, given: object = None) -> dict[str, Any]:
    command = [str(installed.python()), str(installed.PLACE / program), *arguments]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_its_client_pays_for_a_call(coins: House, chain: Chain) -> None:
    """Of the two offers it takes the one that it has a key for."""
    got = ran("x402_client.py", f"{coins.url}/mcp", json.dumps(call("whoami")))
    assert got["status"] == 200, got
    assert json.loads(got["body"])["result"]["structuredContent"]["via"] == "payment"
    (verified, settled) = chain.asked
    assert verified[1] == settled[1]
    signed = verified[1]["paymentPayload"]["payload"]["authorization"]
    assert (signed["to"].lower(), signed["value"]) == (PAY_TO, "13661")


def test_it_reads_all_that_we_send(coins: House, chain: Chain) -> None:
    """PAYMENT-REQUIRED, PAYMENT-RESPONSE, a tool's answer, and the question to the facilitator."""
    required = Payer(coins).post(call("whoami")).headers["payment-required"]
    got = ran("x402_client.py", f"{coins.url}/mcp", json.dumps(call("whoami")))
    coins.add_user()
    app = App(coins.url)
    app.register()
    member = Payer(coins, app.connect(Browser(coins.url))["access_token"])
    given = {
        "required": required,
        "response": got["headers"]["payment-response"],
        "result": member.post(call("whoami")).json()["result"],
        "question": chain.asked[0][1],
    }
    read = ran("x402_schema.py", given=given)
    assert read == {
        "amounts": ["21000", "13661"],
        "url": f"{coins.url}/mcp",
        "in_mcp": [["21000", "13661"]] * 2,
        "asked_for": "13661",
        "success": True,
    }

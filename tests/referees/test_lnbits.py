"""A real LNbits pays our invoices; its decoder reads those of our pretend node; its wallet classes prove our emulators."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.lightning.bolt11 import decode
from app.lightning.nostr import NIP04, NIP44
from tests.agents import agent
from tests.conftest import House
from tests.nodes import MACAROON, PASSWORD, RUNE, Node
from tests.referees.lnbits import Lnbits, NoLnbits, program
from tests.stories.test_lightning import Swapped
from tests.wallets import WalletConnect


@pytest.fixture(scope="session")
def python() -> Path:
    try:
        return program()
    except NoLnbits as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session")
def lnbits(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lnbits]:
    server = Lnbits(tmp_path_factory.mktemp("lnbits"))
    yield server
    server.stop()


def test_a_real_lnbits_is_paid_for_a_session(house: House, lnbits: Lnbits) -> None:
    robot = agent(house, session_sats=21)
    with Swapped(house, lnbits.url):
        started = robot.start(forceLightning=True)
        invoice = started["invoice"]
        assert decode(invoice["bolt11"]).msat == 21_000
        assert robot.confirm({"quoteId": started["quoteId"]}).json()["paymentStatus"] == "pending"
        preimage = lnbits.pay(invoice["bolt11"])
        house.turn_clock(seconds=2)
        assert robot.get(f"/api/mcp/status/{started['quoteId']}").json()["paymentStatus"] == "paid"
        body = {"quoteId": started["quoteId"], "preimage": preimage}
        assert robot.confirm(body).json()["remainingBudgetSats"] == 21
        assert robot.confirm({"quoteId": started["quoteId"]}).status_code == 409


def test_a_wrong_key_is_a_node_that_is_away(house: House, lnbits: Lnbits) -> None:
    robot = agent(house)
    with Swapped(house, lnbits.url.replace(lnbits.key, "0" * 32)):
        assert robot.post("/api/mcp/start", {"forceLightning": True}).status_code == 503


READ = """
import json, sys, bolt11
found = bolt11.decode(sys.argv[1])
print(json.dumps([found.amount_msat, found.payment_hash, found.description, found.expiry, found.payee]))
"""


def test_another_decoder_reads_what_the_pretend_node_writes(house: House, python: Path) -> None:
    """Signature and all: the payee is recovered from it, and is always the same."""
    robot, payees = agent(house, session_sats=77), set()
    for _ in range(4):
        invoice = robot.start(forceLightning=True)["invoice"]
        ran = subprocess.run([python, "-c", READ, invoice["bolt11"]], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        msat, payment_hash, _memo, expiry, payee = json.loads(ran.stdout)
        assert (msat, payment_hash, expiry) == (77_000, invoice["paymentHash"], 600)
        payees.add(payee)
    assert len(payees) == 1


@pytest.mark.parametrize(
    ("kind", "secret"), [("lnd", MACAROON), ("clnrest", RUNE), ("phoenixd", PASSWORD), ("nwc", ""), ("nwc", NIP04)]
)
def test_lnbits_own_wallets_believe_our_emulators(python: Path, kind: str, secret: str, tmp_path: Path) -> None:
    node = WalletConnect(secret or NIP44) if kind == "nwc" else Node(kind)
    address = node.url if isinstance(node, WalletConnect) else node.address
    script = Path(__file__).parent / "wallets.py"
    process = subprocess.Popen(
        [python, "-P", script, kind, address, secret],  # not beside our lnbits.py
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def said(word: str) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        if word:
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        for line in process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise AssertionError(process.stderr.read() if process.stderr else "")

    try:
        made = said("")
        assert made["ok"], made
        assert decode(made["bolt11"]).payment_hash == made["hash"]
        assert said("look") == {"paid": False}
        node.pay(made["hash"])
        assert said("look") == {"paid": True}
    finally:
        process.kill()
        process.communicate()
        node.close()

"""Lightning nodes: what they answer is checked, what they get wrong is refused, what was paid while nobody looked is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from app.lightning.bolt11 import BadInvoice, decode
from app.lightning.opened import node_of
from app.payments import quotes
from app.settings.read import SettingsError, load
from tests.agents import Agent, agent
from tests.conftest import SECRET_KEY, House, emptied
from tests.nodes import Node

KINDS = ("lnd", "clnrest", "phoenixd", "lnbits")


@pytest.fixture(params=KINDS)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    emulated = Node(request.param)
    yield emulated
    emulated.close()


class Swapped:
    """The server under test with another node, as if it had been started with it."""

    def __init__(self, house: House, url: str) -> None:
        self.house, self.url = house, url
        self.before = house.world.lightning

    def __enter__(self) -> None:
        async def opened() -> Any:
            return node_of(self.url, self.house.world.pool, self.house.world.now)

        object.__setattr__(self.house.world, "lightning", self.house.wait_for(opened()))

    def __exit__(self, *_: object) -> None:
        async def closed() -> None:
            assert self.house.world.lightning is not None
            await self.house.world.lightning.close()

        self.house.wait_for(closed())
        object.__setattr__(self.house.world, "lightning", self.before)


def is_found_paid(house: House, robot: Agent, quote_id: str) -> bool:
    """At one of the next seconds: the look of any of them may be taken by what looks of its own accord, and has not come back yet."""
    for _ in range(20):
        house.turn_clock(seconds=2)
        if robot.confirm({"quoteId": quote_id}).json()["paymentStatus"] == "paid":
            return True
    return False


def test_every_kind_of_node_sells_a_session(house: House, node: Node) -> None:
    robot = agent(house, session_sats=21)
    with Swapped(house, node.url):
        started = robot.start(forceLightning=True)
        read = decode(started["invoice"]["bolt11"])
        assert (read.msat, read.network, read.payment_hash) == (21000, "bitcoin", started["invoice"]["paymentHash"])
        assert robot.confirm({"quoteId": started["quoteId"]}).json()["paymentStatus"] == "pending"
        node.pay(read.payment_hash)
        house.turn_clock(seconds=2)
        assert robot.confirm({"quoteId": started["quoteId"]}).json()["remainingBudgetSats"] == 21


@pytest.mark.parametrize("lie", ["amount", "network", "expiry", "garbage", "away", "html"])
def test_an_invoice_that_is_not_what_was_asked_for_is_not_offered(house: House, node: Node, lie: str) -> None:
    robot = agent(house)
    node.ledger.lies = lie
    with Swapped(house, node.url):
        answer = robot.post("/api/mcp/start", {"forceLightning": True})
    assert (answer.status_code, answer.json()["error"]) == (503, "lightning_unavailable")
    assert answer.headers["retry-after"]
    assert house.sql("SELECT count(*) FROM payments") == [(0,)]


def test_paid_is_not_believed_without_the_preimage_that_fits(house: House, node: Node) -> None:
    robot = agent(house)
    with Swapped(house, node.url):
        started = robot.start(forceLightning=True)
        node.pay(started["invoice"]["paymentHash"])
        for lie in ("preimage", "away", "html"):
            node.ledger.lies = lie
            house.turn_clock(seconds=2)
            assert robot.confirm({"quoteId": started["quoteId"]}).json()["paymentStatus"] == "pending", lie
        node.ledger.lies = ""
        assert is_found_paid(house, robot, started["quoteId"])


def test_flaw_9_a_node_is_asked_once_a_second_however_many_poll(house: House) -> None:
    robot, node = agent(house), Node("lnd")
    with Swapped(house, node.url):
        started = robot.start(forceLightning=True)
        before = node.ledger.asked
        for _ in range(30):
            robot.get(f"/api/mcp/status/{started['quoteId']}")
        assert node.ledger.asked - before <= 4
    node.close()


def test_a_webhook_is_only_a_hint(house: House, node: Node) -> None:
    """A forged one changes nothing; a true one, which LNbits sends as a text of JSON inside JSON, and twice, saves the wait."""
    robot = agent(house)
    with Swapped(house, f"{node.url}{'&' if '?' in node.url else '?'}webhook=https://gate.example/hint"):
        started = robot.start(forceLightning=True)
        payment_hash = started["invoice"]["paymentHash"]
        says = json.dumps(
            {"payment_hash": payment_hash, "paymentHash": payment_hash, "paid": True, "preimage": "00" * 32}
        )
        hints: list[Any] = [
            says,
            json.dumps(says),
            f"type=payment_received&paymentHash={payment_hash}",
            "{",
            "\0",
            "f" * 5000,
        ]
        for forged in hints:
            house.turn_clock(seconds=2)
            assert robot.http.post(f"{house.url}/api/public/lightning/hint", content=forged).status_code == 204
        assert house.sql("SELECT settled_at FROM payments") == [(None,)]
        before = node.ledger.asked
        for _ in range(20):
            robot.http.post(f"{house.url}/api/public/lightning/hint", content="ab" * 32)
        of_its_own_accord = 3  # at most once a second, for the one that is ours
        assert node.ledger.asked - before <= of_its_own_accord, "what is not ours is not asked about"
        node.pay(payment_hash)
        for _ in range(5):
            house.turn_clock(seconds=2)
            answer = robot.http.post(f"{house.url}/api/public/lightning/hint", content=json.dumps(says))
            assert answer.status_code == 204
        assert house.sql("SELECT settled_at IS NOT NULL, claimed_at FROM payments") == [(True, None)]
        if node.kind in ("lnbits", "phoenixd"):
            assert "https://gate.example/hint" in node.ledger.bodies[0]


def test_a_slow_node_is_given_up(house: House, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it longer than a moment, and it loses nobody a payment."""
    robot = agent(house)
    with Swapped(house, node.url):
        started = robot.start(forceLightning=True)
        node.pay(started["invoice"]["paymentHash"])
        monkeypatch.setattr(quotes, "ASK_SECONDS", 0.2)
        node.ledger.lies = "slow"
        house.turn_clock(seconds=2)
        assert robot.post("/api/mcp/start", {"forceLightning": True}).status_code == 503
        assert robot.confirm({"quoteId": started["quoteId"]}).json()["paymentStatus"] == "pending"
        node.ledger.lies = ""
        node.ledger.awake.set()
        monkeypatch.setattr(quotes, "ASK_SECONDS", 8.0)
        assert is_found_paid(house, robot, started["quoteId"])


def test_a_node_that_repeats_itself_sells_nothing_twice(house: House) -> None:
    robot, node = agent(house), Node("lnbits")
    with Swapped(house, node.url):
        first = robot.start(forceLightning=True)
        same = node.ledger.invoices[first["invoice"]["paymentHash"]]
        node.ledger.invoice = lambda *_: same  # type: ignore[method-assign]
        assert robot.post("/api/mcp/start", {"forceLightning": True}).status_code == 503
    node.close()


def test_what_was_paid_while_the_server_was_down_is_credited_when_it_returns(dsn: str, house: House) -> None:
    """Even after the invoice has expired: the node is asked once more then, and says so."""
    robot, node = agent(house), Node("phoenixd")
    with Swapped(house, node.url):
        started, forgotten = (robot.start(forceLightning=True) for _ in range(2))
    node.pay(started["invoice"]["paymentHash"])  # and nobody is there to hear of it
    other = House(dsn, lightning_url=SecretStr(node.url))
    other.clock.ahead = timedelta(hours=3)
    other.start()
    try:
        settled = other.wait_for(quotes.look(other.world, other.world.now()))
        assert settled == 1
        states = other.sql("SELECT id, settled_at IS NOT NULL, closed_at IS NOT NULL FROM payments")
        assert set(states) == {(started["quoteId"], True, False), (forgotten["quoteId"], False, True)}
        assert other.wait_for(quotes.look(other.world, other.world.now())) == 0, "what is over is not asked for again"
    finally:
        other.stop()
        node.close()
    house.turn_clock(hours=3)
    assert robot.confirm({"quoteId": started["quoteId"]}).json()["remainingBudgetSats"] == 50
    emptied(house)


def test_a_node_that_is_away_loses_nobody_a_payment(house: House) -> None:
    robot, node = agent(house), Node("clnrest")
    with Swapped(house, node.url):
        started = robot.start(forceLightning=True)
        node.pay(started["invoice"]["paymentHash"])
        node.ledger.lies = "away"
        house.turn_clock(hours=1)
        assert house.wait_for(quotes.look(house.world, house.world.now())) == 0
        node.ledger.lies = ""
        house.turn_clock(hours=1)
        assert house.wait_for(quotes.look(house.world, house.world.now())) == 1


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://node.example", "must begin with one of"),
        ("lnbits://host.example", "the wallet's invoice key"),
        ("lnd://host.example", "an invoice macaroon"),
        ("clnrest://host.example", "a rune"),
        ("phoenixd://host.example", "password"),
        ("lnd+gopher://host.example?macaroon=00", "must begin with"),
        ("lnbits://HIDDEN@host.example?network=moon", "network must be"),
        ("lnbits://HIDDEN@host.example:99999", "is not a URL"),
        ("pretend:", "only pretends"),
    ],
)
def test_a_url_of_no_node_is_a_fault_of_the_settings(url: str, fault: str) -> None:
    given = {"public_url": "https://mcp.example.com", "database_url": SecretStr("postgresql://h/d")}
    with pytest.raises(SettingsError) as told:
        load(**given, secret_key=(SecretStr(SECRET_KEY),), lightning_url=SecretStr(url))
    assert fault in str(told.value)
    assert "HIDDEN" not in str(told.value)


INVOICE = (  # BOLT #11's own example: 2500 µBTC for a cup of coffee within a minute
    "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqw"
    "zqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0"
    "ymjpf39tuven09sam30g4vgpfna3rh"
)


def test_the_examples_of_bolt11_are_read() -> None:
    read = decode(INVOICE)
    assert (read.network, read.msat, read.description) == ("bitcoin", 250_000_000, "1 cup coffee")
    assert read.payment_hash == "0001020304050607080900010203040506070809000102030405060708090102"
    assert read.expires_at - read.created_at == 60
    assert decode(INVOICE.upper()) == read


@pytest.mark.parametrize(
    "text",
    ["", "lnbc", INVOICE[:-1], INVOICE + "q", INVOICE.replace("2500u", "2501u"), "lnbc1" + "q" * 200, "x" * 9999, "ß"],
)
def test_what_is_no_invoice(text: str) -> None:
    with pytest.raises(BadInvoice):
        decode(text)


def test_nodes_close(house: House, node: Node) -> None:
    async def work() -> None:
        opened = node_of(node.url, house.world.pool, house.world.now)
        assert opened is not None
        assert await opened.settled("00" * 32) is None, "an invoice that it does not know was not paid"
        await opened.close()

    asyncio.run(work())

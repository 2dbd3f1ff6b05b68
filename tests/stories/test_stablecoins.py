"""Stablecoins over x402: only through the facilitator that the operator set, settled before anything is given, once."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from app.settings.paid import Facilitator
from tests.conftest import PRICED, House, emptied, left
from tests.facilitators import ASSET, NETWORK, PAY_TO, Chain
from tests.payers import Payer, b64json, call, unb64json


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    chain = Chain()
    yield chain
    chain.close()


@pytest.fixture(scope="module")
def served_for_coins(dsn: str, chain: Chain) -> Iterator[House]:
    house = House(
        dsn,
        lightning_url=SecretStr("pretend:"),
        resources_file=PRICED,
        paid_scope=("read",),
        facilitator=Facilitator(**chain.settings),
    ).start()
    yield house
    house.stop()


@pytest.fixture
def guest(served_for_coins: House, chain: Chain) -> Iterator[Payer]:
    chain.begin()
    yield Payer(emptied(served_for_coins))
    left(served_for_coins)


def offer(guest: Payer, tool: str = "whoami") -> dict[str, Any]:
    document = json.loads(base64.b64decode(guest.post(call(tool)).headers["payment-required"]))
    lightning, coins = document["accepts"]
    assert lightning["extra"]["paymentMethod"] == "lightning"
    found: dict[str, Any] = coins
    return found


def paid(accepted: dict[str, Any], nonce: str) -> dict[str, str]:
    payload = {"signature": "0x" + "ab" * 65, "authorization": {"nonce": nonce}}
    return {"PAYMENT-SIGNATURE": b64json({"x402Version": 2, "accepted": accepted, "payload": payload})}


def test_the_offer_is_the_operators(guest: Payer) -> None:
    """Rounded up: nobody pays less than the price."""
    assert offer(guest) == {
        "scheme": "exact",
        "network": NETWORK,
        "amount": "13661",
        "asset": ASSET,
        "payTo": PAY_TO,
        "maxTimeoutSeconds": 60,
        "extra": {"name": "USDC", "version": "2"},
    }


def test_it_is_verified_settled_and_then_given(guest: Payer, chain: Chain) -> None:
    headers = paid(offer(guest), "1")
    answer = guest.post(call("whoami"), headers)
    assert answer.status_code == 200, answer.text
    assert [what for what, _ in chain.asked] == ["verify", "settle"]
    assert chain.asked[0][1]["paymentRequirements"] == offer(guest)
    said = unb64json(answer.headers["payment-response"])
    assert (said["success"], said["network"], said["payer"]) == (True, NETWORK, "0xpayer")
    again = guest.post(call("whoami"), headers)
    assert (again.status_code, again.json()["error_description"]) == (402, "the payment was used before")


@pytest.mark.parametrize("refuses", ["verify", "settle"])
def test_what_the_facilitator_refuses_buys_nothing(guest: Payer, chain: Chain, refuses: str) -> None:
    chain.refuses = refuses
    assert guest.post(call("whoami"), paid(offer(guest), f"refused {refuses}")).status_code == 402


def test_a_facilitator_that_talks_nonsense_is_away(guest: Payer, chain: Chain) -> None:
    chain.refuses = "nonsense"
    answer = guest.post(call("whoami"), paid(offer(guest), "n"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_whoever_makes_payments_up_has_nobody_asked_without_end(guest: Payer, chain: Chain) -> None:
    """The facilitator may have limits for us, by which those who pay would suffer."""
    chain.refuses = "verify"
    accepted = offer(guest)
    answers = [guest.post(call("whoami"), paid(accepted, f"made up {number}")).status_code for number in range(62)]
    assert answers[-2:] == [429, 429]
    assert len(chain.asked) == 60


@pytest.mark.parametrize(
    "changed", [{"amount": "1"}, {"payTo": "0xmallory"}, {"network": "eip155:1"}, {"asset": "0x0"}]
)
def test_an_altered_offer_is_not_even_asked_about(guest: Payer, chain: Chain, changed: dict[str, str]) -> None:
    assert guest.post(call("whoami"), paid({**offer(guest), **changed}, "x")).status_code == 402
    assert not chain.asked


def test_the_cheaper_tools_price_does_not_buy_the_dearer(guest: Payer, chain: Chain) -> None:
    assert guest.post(call("whoami"), paid(offer(guest, "list_notes"), "cheap")).status_code == 402
    assert not chain.asked


@pytest.mark.parametrize(("odd", "status"), [(float("nan"), 400), (10**400, 200), ("\ud800", 200), ("\0", 200)])
def test_odd_payloads_are_the_facilitators_to_judge_if_they_are_json(guest: Payer, odd: object, status: int) -> None:
    """This one believes everything."""
    headers = {"PAYMENT-SIGNATURE": b64json({"x402Version": 2, "accepted": offer(guest), "payload": {"nonce": odd}})}
    assert guest.post(call("whoami"), headers).status_code == status


def test_coins_buy_a_token_too(guest: Payer) -> None:
    document = json.loads(base64.b64decode(guest.ask(sats="100").headers["payment-required"]))
    answer = guest.ask(paid(document["accepts"][1], "token"), sats="100")
    assert answer.status_code == 200, answer.text
    agent = Payer(guest.house, answer.json()["access_token"])
    assert agent.post(call("whoami")).json()["result"]["isError"] is False


def test_what_guests_may_not_do_is_not_for_sale_to_them(guest: Payer, chain: Chain) -> None:
    """GATEHOUSE_PAID_SCOPE is `read` here: for writing one needs a token."""
    headers = paid({**offer(guest), "amount": "1952"}, "write")
    for answer in (guest.post(call("add_note", text="x")), guest.post(call("add_note", text="x"), headers)):
        assert (answer.status_code, answer.headers["www-authenticate"][:7]) == (401, "Bearer ")
    assert not chain.asked
    assert guest.ask(sats="5", scope="write").json()["error"] == "invalid_scope"


def test_without_a_facilitator_coins_are_not_taken(shop: House, chain: Chain) -> None:
    """Off by default."""
    guest = Payer(shop)
    document = json.loads(base64.b64decode(guest.post(call("whoami")).headers["payment-required"]))
    assert len(document["accepts"]) == 1
    asked = {"scheme": "exact", "network": NETWORK, "amount": "13661", "asset": ASSET, "payTo": PAY_TO}
    assert guest.post(call("whoami"), paid(asked, "y")).status_code == 402


def test_a_facilitator_that_cannot_be_is_refused_at_the_start() -> None:
    good: dict[str, Any] = {
        "url": "https://f.example",
        "network": NETWORK,
        "asset": "x",
        "pay_to": "y",
        "units_per_sat": 1,
    }
    assert Facilitator(**good)
    for wrong in ({"url": "ftp://x"}, {"network": "base"}, {"units_per_sat": 0}, {"units_per_sat": -1}, {"more": 1}):
        with pytest.raises(ValidationError):
            Facilitator(**{**good, **wrong})

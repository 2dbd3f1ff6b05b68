"""One payment, fifty at once, at both doors and in every dialect: it buys once, whoever comes, and nobody else is given anything."""

from __future__ import annotations

import httpx2
import pytest

from tests.conftest import House
from tests.payers import DIALECTS, HEADERS, L402, PAYMENT, X402, Bill, Payer, call
from tests.races.test_one_winner import race

FORM = {"grant_type": "urn:gatehouse:grant-type:payment"}


@pytest.mark.parametrize("dialects", [(L402,), (PAYMENT,), (X402,), DIALECTS], ids=["L402", "Payment", "x402", "all"])
def test_one_payment_is_one_call(shop: House, dialects: tuple[str, ...]) -> None:
    payer = Payer(shop)
    bill = Bill.of(payer.post(call("whoami")))
    preimage = payer.pay(bill)

    def attempt(number: int, client: httpx2.Client) -> httpx2.Response:
        headers = HEADERS | bill.headers(dialects[number % len(dialects)], preimage)
        return client.post(f"{shop.url}/mcp", json=call("whoami"), headers=headers)

    answers = race(shop, attempt)
    assert sorted({answer.status_code for answer in answers}) in ([200, 402], [200, 402, 429])
    assert [answer.status_code for answer in answers].count(200) == 1


def test_one_payment_is_a_call_or_a_budget(shop: House) -> None:
    """Those at /token who come too late are given tokens of the one budget, if it was that which was bought."""
    payer = Payer(shop)
    bill = Bill.of(payer.post(call("whoami")))
    headers = bill.headers(L402, payer.pay(bill))

    def attempt(number: int, client: httpx2.Client) -> httpx2.Response:
        if number % 2:
            return client.post(f"{shop.url}/mcp", json=call("whoami"), headers=HEADERS | headers)
        return client.post(f"{shop.url}/token", data=FORM, headers=headers)

    answers = race(shop, attempt)
    calls, tokens = [answer.status_code for answer in answers[1::2]], [answer.status_code for answer in answers[0::2]]
    assert (calls.count(200), tokens.count(200) > 0) in ((1, False), (0, True))
    assert shop.sql("SELECT count(*) FROM budgets") == [(0 if calls.count(200) else 1,)]
    assert shop.sql("SELECT coalesce(sum(funded_sats), 0) FROM budgets") == [(0 if calls.count(200) else 21,)]

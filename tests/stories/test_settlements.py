"""A payment is settled, and nobody heard: it is not lost to its payer nor to the books, and never given for on a guess."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any, cast

import pytest
from pydantic import SecretStr

from app.backups.store import VOIDED
from app.selling import facilitator
from app.settings.paid import Facilitator
from tests.actors import http
from tests.admins import AdminBrowser, Api, admin_key
from tests.admins import events as recorded
from tests.conftest import PRICED, House, emptied, left
from tests.facilitators import NETWORK, Chain
from tests.payers import HEADERS, Payer, call, unb64json
from tests.staged.replica import Replica
from tests.stories.test_stablecoins import chain, offer, paid

__all__ = ["chain"]
OPTIONS: dict[str, Any] = {
    "lightning_url": SecretStr("pretend:"),
    "resources_file": PRICED,
    "paid_scope": ("read",),
}
NOT_SAID = "the facilitator has not said whether this payment is settled; send the same payment again, do not pay again"
SECONDS = facilitator.LEASE.total_seconds() + 1


@pytest.fixture(scope="module")
def serving(dsn: str, chain: Chain) -> Iterator[House]:
    house = House(dsn, facilitator=Facilitator(**chain.settings), **OPTIONS).start()
    yield house
    house.stop()


@pytest.fixture
def shop(serving: House, chain: Chain) -> Iterator[House]:
    chain.begin()
    yield emptied(serving)
    chain.hold.set()
    left(serving)


@pytest.fixture
def guest(shop: House) -> Payer:
    return Payer(shop)


def events(house: House, name: str) -> list[dict[str, Any]]:
    """What the log says of them."""
    return [cast("dict[str, Any]", detail) for _, _, detail in recorded(house, name)]


def settlements(house: House, columns: str = "transaction, claimed_by, said") -> list[tuple[object, ...]]:
    return house.sql(f"SELECT {columns} FROM settlements ORDER BY created_at")


def asked(chain: Chain) -> list[str]:
    return [what for what, _ in chain.asked]


def in_doubt(guest: Payer, chain: Chain, nonce: str) -> dict[str, str]:
    """The headers of a payment that was settled, as nobody heard, and refused when it was asked for again."""
    headers = paid(offer(guest), nonce)
    chain.cuts = True
    assert guest.post(call("whoami"), headers).status_code == 503
    chain.cuts = False
    guest.house.turn_clock(seconds=SECONDS)
    answer = guest.post(call("whoami"), headers)
    assert answer.status_code == 503, answer.text
    assert "the operator of this server has to decide it" in answer.json()["error_description"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    return headers


def test_it_is_written_down_before_the_facilitator_is_asked(shop: House, guest: Payer, chain: Chain) -> None:
    headers = paid(offer(guest), "before")
    chain.cuts = True
    answer = guest.post(call("whoami"), headers)
    assert (answer.status_code, answer.json()["error_description"]) == (503, NOT_SAID)
    assert answer.headers["retry-after"] == "40"
    columns = "transaction, sats, amount, network, payer, subject, settled_at"
    subject = f"{shop.url}/mcp whoami"
    assert settlements(shop, columns) == [(None, 21, "13661", NETWORK, "0xpayer", subject, None)]


def test_a_connection_that_broke_after_it_was_settled_loses_nothing(shop: House, guest: Payer, chain: Chain) -> None:
    """The facilitator that is asked once more says the same again; what was paid for is given, once."""
    headers = paid(offer(guest), "cut")
    chain.cuts, chain.repeats = True, True
    assert guest.post(call("whoami"), headers).status_code == 503
    chain.cuts = False
    early = guest.post(call("whoami"), headers)
    assert (early.status_code, early.headers["retry-after"]) == (503, "40")
    shop.turn_clock(seconds=30)
    assert 8 <= int(guest.post(call("whoami"), headers).headers["retry-after"]) <= 10
    assert asked(chain) == ["verify", "settle"], "nobody asks while another may still be asking"
    shop.turn_clock(seconds=SECONDS)
    answer = guest.post(call("whoami"), headers)
    assert answer.status_code == 200, answer.text
    assert asked(chain) == ["verify", "settle", "settle"]
    assert unb64json(answer.headers["payment-response"])["transaction"] == settlements(shop)[0][0]
    assert guest.post(call("whoami"), headers).status_code == 402


def test_a_process_that_dies_after_it_was_settled_loses_nothing(shop: House, guest: Payer, chain: Chain) -> None:
    """It is killed when the payment is on the chain, before it hears so."""
    headers = HEADERS | paid(offer(guest), "dies")
    replica = Replica(shop.dsn, public_url=shop.url, facilitator=Facilitator(**chain.settings), **OPTIONS)
    try:
        chain.kills = replica.pid
        assert replica.ask("POST", "/mcp", json=call("whoami"), headers=headers) is None
    finally:
        replica.stop()
    chain.kills, chain.repeats = 0, True
    assert settlements(shop) == [(None, "not settled", None)]
    shop.turn_clock(seconds=SECONDS)
    assert guest.post(call("whoami"), headers).status_code == 200
    assert guest.post(call("whoami"), headers).status_code == 402
    assert asked(chain) == ["verify", "settle", "settle"]


def test_a_facilitator_that_takes_too_long_is_asked_again(
    shop: House, guest: Payer, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = paid(offer(guest), "late")
    monkeypatch.setattr(facilitator, "SECONDS", 0.3)
    chain.hold.clear()
    answer = guest.post(call("whoami"), headers)
    assert (answer.status_code, answer.json()["error_description"]) == (503, NOT_SAID)
    chain.hold.set()
    chain.repeats = True
    monkeypatch.setattr(facilitator, "SECONDS", 30.0)
    shop.turn_clock(seconds=SECONDS)
    assert guest.post(call("whoami"), headers).status_code == 200


def test_a_facilitator_that_is_gone_leaves_nothing_behind(dsn: str, shop: House) -> None:
    """It was not asked: there is nothing to wait for."""
    leaving = Chain()
    house = House(dsn, facilitator=Facilitator(**leaving.settings), **OPTIONS).start()
    try:
        guest = Payer(house)
        leaving.leaves = True
        answer = guest.post(call("whoami"), paid(offer(guest), "gone"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "try again" in answer.json()["error_description"]
        assert settlements(house) == []
    finally:
        house.stop()


def test_what_is_refused_at_first_leaves_nothing_behind(shop: House, guest: Payer, chain: Chain) -> None:
    """Refused at the first asking, there is nothing to remember: the payer may mend it and come again."""
    headers = paid(offer(guest), "poor")
    chain.refuses = "settle"
    assert guest.post(call("whoami"), headers).status_code == 402
    assert settlements(shop) == []
    chain.refuses = ""
    assert guest.post(call("whoami"), headers).status_code == 200


@pytest.mark.parametrize("reason", ["unexpected_settle_error", "settle_exact_evm_confirmation_timed_out"])
def test_a_refusal_that_leaves_it_open_is_no_refusal(shop: House, guest: Payer, chain: Chain, reason: str) -> None:
    headers = paid(offer(guest), reason)
    chain.refuses, chain.reason = "settle", reason
    answer = guest.post(call("whoami"), headers)
    assert (answer.status_code, answer.json()["error_description"]) == (503, NOT_SAID)
    chain.refuses = ""
    assert guest.post(call("whoami"), headers).status_code == 200


def test_what_is_on_its_way_is_asked_about_once_more_at_once(guest: Payer, chain: Chain) -> None:
    """`settlement_pending`, as x402's own servers do."""
    headers = paid(offer(guest), "pending")
    chain.pending = 1
    assert guest.post(call("whoami"), headers).status_code == 200
    assert asked(chain) == ["verify", "settle", "settle"]


def test_two_at_once_do_not_both_ask(shop: House, guest: Payer, chain: Chain) -> None:
    """Neither at first nor again."""
    headers = paid(offer(guest), "two")
    for settles, cuts in ((1, True), (2, False)):
        chain.cuts, chain.repeats = cuts, True
        chain.hold.clear()
        with ThreadPoolExecutor(4) as threads:
            answers = [threads.submit(guest.post, call("whoami"), headers) for _ in range(4)]
            told = list(islice(as_completed(answers, timeout=30), 3))  # those who do not ask are told so at once
            assert {answer.result().status_code for answer in told} == {503}
            chain.hold.set()
            statuses = sorted(answer.result().status_code for answer in answers)
        assert asked(chain).count("settle") == settles
        assert statuses == ([503] * 4 if cuts else [200, 503, 503, 503])
        shop.turn_clock(seconds=SECONDS)


def test_who_asked_first_and_was_verified_last_is_not_told_to_pay_again(guest: Payer, chain: Chain) -> None:
    """The facilitator says no, since it has settled this very payment meanwhile."""
    headers = paid(offer(guest), "slow")
    first = chain.first = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(guest.post, call("whoami"), headers)
        assert chain.waits.wait(30)
        assert guest.post(call("whoami"), headers).status_code == 200
        first.set()
        assert slow.result().status_code == 503


def test_a_second_refusal_is_never_taken_for_a_payment(shop: House, guest: Payer, chain: Chain) -> None:
    """The nonce may be used since it was paid, or since its payer cancelled it. One event, however often it is shown."""
    headers = in_doubt(guest, chain, "doubt")
    assert settlements(shop) == [(None, "not settled", "invalid_exact_evm_nonce_already_used")]
    assert guest.post(call("whoami"), headers).status_code == 503
    (event,) = events(shop, "settlement.unknown")
    assert (event["sats"], event["said"]) == (21, "invalid_exact_evm_nonce_already_used")
    other = paid(offer(guest, "list_notes"), "another")
    assert guest.post(call("list_notes"), other).status_code == 200, "who pays anew is served"


def test_the_operator_says_that_it_was_paid(shop: House, guest: Payer, chain: Chain) -> None:
    headers = in_doubt(guest, chain, "decided")
    listed = shop.operator("settlement", "list", "--state", "unknown")
    ident = str(settlements(shop, "encode(fingerprint, 'hex')")[0][0])
    assert ident in listed
    shop.operator("settlement", "settled", ident, "--transaction", "0x77")
    assert "nothing to decide" in shop.operator("settlement", "void", ident, code=1)
    answer = guest.post(call("whoami"), headers)
    assert answer.status_code == 200, answer.text
    assert unb64json(answer.headers["payment-response"])["transaction"] == "0x77"
    assert guest.post(call("whoami"), headers).status_code == 402
    (event,) = events(shop, "settlement.decided")
    assert (event["outcome"], event["transaction"]) == ("settled", "0x77")
    second = in_doubt(guest, chain, "decided too")
    (again,) = shop.sql("SELECT encode(fingerprint, 'hex') FROM settlements WHERE transaction IS NULL")
    refused = shop.operator("settlement", "settled", str(again[0]), "--transaction", "0x77", code=1)
    assert "another payment" in refused
    assert guest.post(call("whoami"), second).status_code == 503


def test_the_operator_says_that_it_was_not_paid(shop: House, guest: Payer, chain: Chain) -> None:
    headers = in_doubt(guest, chain, "void")
    ident = str(settlements(shop, "encode(fingerprint, 'hex')")[0][0])
    shop.operator("settlement", "void", ident)
    chain.repeats = True
    answer = guest.post(call("whoami"), headers)
    assert (answer.status_code, "was not made" in answer.json()["detail"]) == (402, True)
    assert shop.operator("settlement", "void", "00" * 32, code=1).count("no settlement") == 1
    assert shop.operator("settlement", "void", "x", code=2)


def test_a_payment_that_is_being_asked_for_is_not_decided(shop: House, guest: Payer, chain: Chain) -> None:
    chain.cuts = True
    assert guest.post(call("whoami"), paid(offer(guest), "busy")).status_code == 503
    ident = str(settlements(shop, "encode(fingerprint, 'hex')")[0][0])
    assert "under way" in shop.operator("settlement", "void", ident, code=1)


def test_what_a_backup_brought_back_is_given_for_by_nobody(shop: House, guest: Payer, chain: Chain) -> None:
    """It may have been settled and given after the backup was made; the operator can still say what became of it."""
    headers = in_doubt(guest, chain, "restored")
    shop.sql(VOIDED["settlements"])
    chain.repeats = True
    assert guest.post(call("whoami"), headers).status_code == 402
    ident = str(settlements(shop, "encode(fingerprint, 'hex')")[0][0])
    shop.operator("settlement", "settled", ident, "--transaction", "0x88")
    assert guest.post(call("whoami"), headers).status_code == 402
    (row,) = json.loads(shop.operator("settlement", "list", "--json"))
    assert (row["state"], row["bought"]) == ("given", "restored from a backup")


def test_the_books_have_them(shop: House, guest: Payer, chain: Chain) -> None:
    """By day, project and tool as sats' worth, and one by one with how far they have come."""
    shop.add_user(admin=True)
    ada, api = AdminBrowser(shop), Api(shop, admin_key(shop))
    in_doubt(guest, chain, "unknown")
    assert guest.post(call("whoami"), paid(offer(guest), "call")).status_code == 200
    accepted = unb64json(guest.ask(sats="100").headers["payment-required"])["accepts"][1]
    assert guest.ask(paid(accepted, "token"), sats="100").status_code == 200
    books = api("GET", "/spending")
    assert books["total"]["sats_in"] == 121
    came = {line["project"]: line["sats_in"] for line in books["projects"]}
    assert came == {"call_coins": 21, "token_coins": 100}
    assert {line["project"]: line["calls"] for line in books["projects"]} == {"call_coins": 1, "token_coins": 0}
    assert {line["tool"]: line["sats_in"] for line in books["tools"]} == {"whoami": 21, "": 100}
    assert "Decide stablecoin payments" in ada.open("/admin").text
    assert "1 stablecoin payment waits" in ada.open("/admin/spending").text
    page = ada.open("/admin/spending/settlements")
    assert page.text.count("nonce_already_used") == 1
    assert "gatehouse settlement" in page.text
    rows = api("GET", "/spending/settlements")["rows"]
    assert [row["state"] for row in rows] == ["given", "given", "unknown"]
    assert (rows[1]["amount"], rows[1]["sats"]) == ("13661", 21)
    assert [row["state"] for row in api("GET", "/spending/settlements?state=unknown")["rows"]] == ["unknown"]
    api("GET", "/spending/settlements?state=x", 400)
    answer = http().get(
        f"{shop.url}/admin/api/spending/settlements/file?format=csv", headers={"Authorization": f"Bearer {api.key}"}
    )
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["state"] for line in lines] == ["given", "given", "unknown"]
    assert ada.open("/admin/spending/settlements/file?format=jsonl").text.count("\n") == 3

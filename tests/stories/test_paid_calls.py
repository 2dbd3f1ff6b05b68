"""Calls that cost sats: a 402 that any dialect pays, once; an unpaid tool that MCP clients pay; nothing lost, nothing twice."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import jwt
import pytest

from app.metering.budgets import open_budget
from app.protocol.macaroon import read
from tests.actors import App, Browser, http
from tests.admins import Api, admin_key
from tests.conftest import House
from tests.payers import DIALECTS, L402, PAYMENT, PREIMAGE, X402, Bill, Payer, b64json, call, unb64json


@pytest.fixture
def guest(shop: House) -> Payer:
    """Nobody, with a wallet."""
    return Payer(shop)


@pytest.fixture
def member(shop: House) -> Payer:
    """Somebody with an account, whose app has no budget."""
    shop.add_user()
    app, browser = App(shop.url), Browser(shop.url)
    app.register()
    return Payer(shop, app.connect(browser)["access_token"])


# A 402 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_invoice_buys_one_call_in_any_dialect(guest: Payer, dialect: str) -> None:
    bill = Bill.of(guest.post(call("whoami")))
    answer = guest.post(call("whoami"), bill.headers(dialect, guest.pay(bill)))
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    assert result["isError"] is False
    assert result["structuredContent"]["sub"] == f"paid:{bill.payment_hash}"
    assert result["structuredContent"]["via"] == "payment"


def test_a_402_is_one_and_says_how_to_pay(guest: Payer) -> None:
    """RFC 9110 §15.5.3, RFC 9457; not a word of Bearer."""
    answer = guest.post(call("whoami"))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "bearer" not in " ".join(answer.headers.get_list("www-authenticate")).lower()
    body = answer.json()
    assert (body["status"], body["code"], body["error"]) == (402, "PAYMENT_REQUIRED", "payment_required")
    assert body["schemes"] == ["L402", "Payment", "x402"]
    assert body["payment"]["amountSats"] == 21
    assert body["payment"]["paymentHash"] == Bill.of(answer).payment_hash
    assert Bill.of(answer).accepted["amount"] == "21000"


@pytest.mark.parametrize("first", DIALECTS)
@pytest.mark.parametrize("second", DIALECTS)
def test_one_payment_hash_buys_once_at_whichever_door(guest: Payer, first: str, second: str) -> None:
    bill = Bill.of(guest.post(call("whoami")))
    preimage = guest.pay(bill)
    assert guest.post(call("whoami"), bill.headers(first, preimage)).status_code == 200
    again = guest.post(call("whoami"), bill.headers(second, preimage))
    assert again.json()["error_description"] == "the payment was used before"
    assert Bill.of(again).payment_hash != bill.payment_hash


def test_before_it_is_paid_nothing_is_given(guest: Payer) -> None:
    """x402 clients send no preimage: the node is asked."""
    bill = Bill.of(guest.post(call("whoami")))
    unpaid = guest.post(call("whoami"), bill.headers(X402, ""))
    assert (unpaid.status_code, unpaid.json()["error_description"]) == (402, "the invoice is not paid yet")
    guest.pay(bill)
    assert guest.post(call("whoami"), bill.headers(X402, "")).status_code == 200


@pytest.mark.parametrize("dialect", [L402, PAYMENT, PREIMAGE])
def test_any_other_preimage_buys_nothing(guest: Payer, dialect: str) -> None:
    """The stored original took any 64 characters (agents.md §1.4, 1)."""
    bill = Bill.of(guest.post(call("whoami")))
    guest.pay(bill)
    for preimage in ("00" * 32, "ab" * 32, bill.payment_hash):
        assert guest.post(call("whoami"), bill.headers(dialect, preimage)).status_code == 402


def test_what_cannot_be_read_is_400(guest: Payer) -> None:
    for headers in ({"Authorization": "x402 preimage_xxx"}, {"Authorization": "L402 x"}, {"PAYMENT-SIGNATURE": "{}"}):
        answer = guest.post(call("whoami"), headers)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_payment")


def test_a_payment_is_for_its_tool_and_no_other(guest: Payer) -> None:
    bill = Bill.of(guest.post(call("list_notes")))
    preimage = guest.pay(bill)
    for dialect in DIALECTS:
        assert guest.post(call("whoami"), bill.headers(dialect, preimage)).status_code == 402
    assert guest.post(call("list_notes"), bill.headers(L402, preimage)).status_code == 200


def test_a_macaroon_that_was_narrowed_buys_no_more_than_it_says(guest: Payer) -> None:
    """Whoever got it from its payer has it for less: another tool, and no token."""
    bill = Bill.of(guest.post(call("whoami")))
    preimage = guest.pay(bill)
    whole = read(base64.b64decode(bill.macaroon))
    for caveat in (b"mcp_capabilities=list_notes", b"services=other:0", b"mcp_valid_until=1", b"phase=moon"):
        narrow = replace(bill, macaroon=base64.b64encode(whole.narrowed(caveat).serialized()).decode())
        assert guest.post(call("whoami"), narrow.headers(L402, preimage)).status_code == 402, caveat
        assert guest.ask(narrow.headers(L402, preimage), sats="1").status_code == 402, caveat
    assert guest.post(call("whoami"), bill.headers(L402, preimage)).status_code == 200


def test_what_costs_nothing_is_not_for_guests(guest: Payer) -> None:
    """No token, no payment: 401, from which OAuth clients begin (RFC 6750 §3); only a priced call is worth a 402."""
    for message in (call("delete_note", note_id="1"), {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}):
        answer = guest.post(message)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert guest.post(call("whoami"), {"Authorization": "Bearer nonsense"}).status_code == 401


def test_a_payment_after_a_day_is_too_late_and_before_is_not(guest: Payer, shop: House) -> None:
    """Whoever paid and was slow is served; the invoice itself is long over then."""
    slow, late = Bill.of(guest.post(call("whoami"))), Bill.of(guest.post(call("whoami")))
    paid = {bill.payment_hash: guest.pay(bill) for bill in (slow, late)}
    shop.turn_clock(hours=23)
    assert guest.post(call("whoami"), slow.headers(PAYMENT, paid[slow.payment_hash])).status_code == 200
    shop.turn_clock(hours=2)
    for dialect in DIALECTS:
        answer = guest.post(call("whoami"), late.headers(dialect, paid[late.payment_hash]))
        assert answer.json()["error_description"] == "the payment was not used in time"


def test_when_the_tool_fails_the_payment_is_good_once_more(guest: Payer) -> None:
    """A guest has no notebook: the tool fails, and nothing is lost."""
    bill = Bill.of(guest.post(call("add_note", text="x")))
    preimage = guest.pay(bill)
    for _ in range(2):
        failed = guest.post(call("add_note", text="x"), bill.headers(L402, preimage))
        assert failed.status_code == 200
        assert failed.json()["result"]["isError"] is True
        assert "payment-receipt" not in failed.headers
    traded = guest.ask(bill.headers(L402, preimage))
    assert traded.status_code == 200, traded.text


def test_credentials_stop_at_the_door(guest: Payer, member: Payer) -> None:
    """Neither headers nor `_meta` bring a payment to the tools."""
    from app.gate.headers import STOPPED

    assert {b"authorization", b"payment-signature"} <= STOPPED


def test_offers_are_counted(guest: Payer) -> None:
    """Each writes to the operator's node."""
    answers = [guest.post(call("whoami")).status_code for _ in range(31)]
    assert answers == [402] * 30 + [429]


# Receipts -------------------------------------------------------------------------------------------------------------


def claims_of(house: House, signed: str) -> dict[str, Any]:
    """As anybody reads a receipt: with the published keys."""
    keys = jwt.PyJWKSet.from_dict(http().get(f"{house.url}/.well-known/jwks.json").json())
    header = jwt.get_unverified_header(signed)
    assert header["typ"] == "receipt+jwt"
    claims: dict[str, Any] = jwt.decode(
        signed, keys[header["kid"]].key, algorithms=["ES256"], issuer=house.url, options={"verify_iat": False}
    )
    return claims


def test_a_receipt_can_be_checked_by_whoever_paid(guest: Payer, shop: House) -> None:
    bill = Bill.of(guest.post(call("whoami")))
    preimage = guest.pay(bill)
    answer = guest.post(call("whoami"), bill.headers(PAYMENT, preimage))
    claims = claims_of(shop, answer.headers["gatehouse-receipt"])
    assert (claims["sats"], claims["tool"], claims["resource"]) == (21, "whoami", f"{shop.url}/mcp")
    assert claims["paymentHash"] == bill.payment_hash
    said = unb64json(answer.headers["payment-receipt"])
    assert said["status"] == "success"
    assert (said["method"], said["reference"]) == ("lightning", bill.payment_hash)
    assert said["challengeId"] == bill.challenge["id"]
    assert answer.json()["result"]["_meta"]["org.paymentauth/receipt"] == said
    assert preimage not in answer.text + str(answer.headers)


def test_a_receipt_may_come_out_of_a_file_or_a_letter(guest: Payer, shop: House) -> None:
    """With a line's end behind it, or broken into lines; and a program is refused in JSON, whatever it sent."""
    bill = Bill.of(guest.post(call("whoami")))
    receipt = guest.post(call("whoami"), bill.headers(L402, guest.pay(bill))).headers["gatehouse-receipt"]
    for pasted in (f"{receipt}\n", f" {receipt[:70]}\r\n{receipt[70:]}\t"):
        told = http().post(f"{shop.url}/receipt", data={"receipt": pasted}, headers={"Accept": "application/json"})
        assert (told.status_code, told.json().get("sats")) == (200, 21), told.text
        assert "This receipt is genuine" in http().post(f"{shop.url}/receipt", data={"receipt": pasted}).text
    assert "This is no receipt of ours" in http().post(f"{shop.url}/receipt", data={"receipt": "x"}).text, "a sentence"
    for odd in (b"receipt=a&receipt=b", b"receipt=%ff", b"receipt=%00x", b""):
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        told = http().post(f"{shop.url}/receipt", content=odd, headers=headers)
        assert (told.status_code, told.json()["error"]) == (400, "invalid_request"), odd


def test_a_receipt_is_no_token(guest: Payer, shop: House) -> None:
    bill = Bill.of(guest.post(call("whoami")))
    answer = guest.post(call("whoami"), bill.headers(L402, guest.pay(bill)))
    receipt = answer.headers["gatehouse-receipt"]
    assert guest.post(call("whoami"), {"Authorization": f"Bearer {receipt}"}).status_code == 401


def test_an_x402_client_is_told_of_the_settlement(guest: Payer) -> None:
    bill = Bill.of(guest.post(call("whoami")))
    guest.pay(bill)
    answer = guest.post(call("whoami"), bill.headers(X402, ""))
    said = unb64json(answer.headers["payment-response"])
    assert said == {"success": True, "transaction": bill.invoice, "network": bill.accepted["network"]}
    assert answer.json()["result"]["_meta"]["x402/payment-response"] == said


# In MCP ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [PAYMENT, X402])
def test_an_unpaid_tool_is_paid_inside_mcp(member: Payer, dialect: str) -> None:
    bill = Bill.of_tool(member.post(call("add_note", text="paid for")))
    preimage = member.pay(bill)
    meta = {
        PAYMENT: {"org.paymentauth/credential": bill.credential(preimage)},
        X402: {"x402/payment": bill.signature()},
    }[dialect]
    result = member.post(call("add_note", meta, text="paid for")).json()["result"]
    assert result["isError"] is False
    assert result["structuredContent"]["text"] == "paid for"
    assert result["_meta"]["gatehouse/receipt"]
    again = member.post(call("add_note", meta, text="paid for"))
    assert Bill.of_tool(again).payment_hash != bill.payment_hash


def test_a_member_pays_by_header_too_and_stays_who_they_are(member: Payer) -> None:
    bill = Bill.of_tool(member.post(call("whoami")))
    member.pay(bill)
    result = member.post(call("whoami"), {"PAYMENT-SIGNATURE": b64json(bill.signature())}).json()["result"]
    assert result["structuredContent"]["via"] == "authorization_code"


def test_an_http_client_with_a_token_may_ask_for_a_402(member: Payer) -> None:
    """MPP "Accept-Payment"."""
    assert Bill.of(member.post(call("whoami"), {"Accept-Payment": "lightning/charge"}))


def test_scopes_come_before_money(shop: House) -> None:
    """Nobody is asked to pay for what they may not do."""
    shop.add_user()
    app, browser = App(shop.url), Browser(shop.url)
    app.register()
    member = Payer(shop, app.connect(browser, scope="read")["access_token"])
    assert member.post(call("add_note", text="x")).status_code == 403


def test_odd_payments_in_meta_are_refused(member: Payer) -> None:
    odds: list[Any] = [None, 1, "x", [], {}, {"challenge": {}, "payload": {}}, {"x402Version": 2}]
    for odd in odds:
        for key in ("org.paymentauth/credential", "x402/payment"):
            answer = member.post(call("whoami", {key: odd}))
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"] == "invalid_payment"


# At /token ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_payment_is_traded_for_a_token_with_a_budget(guest: Payer, shop: House, dialect: str) -> None:
    """The same form again, with the payment in a header: what every client that pays 402s does by itself."""
    bill = Bill.of(guest.ask(sats="50"))
    answer = guest.ask(bill.headers(dialect, guest.pay(bill)), sats="50")
    assert answer.status_code == 200, answer.text
    given = answer.json()
    assert given["token_type"] == "Bearer"
    assert "refresh_token" not in given
    agent = Payer(shop, given["access_token"])
    for left in (29, 8):
        answer = agent.post(call("whoami"))
        assert answer.json()["result"]["isError"] is False, answer.text
        assert claims_of(shop, answer.headers["gatehouse-receipt"])["remainingSats"] == left
    assert Bill.of_tool(agent.post(call("whoami"))).accepted["amount"] == "21000"
    assert agent.post(call("list_notes")).json()["result"]["isError"] is False


def test_a_payment_may_stand_in_the_form(guest: Payer) -> None:
    bill = Bill.of(guest.ask(sats="50"))
    payment = bill.headers(L402, guest.pay(bill))["Authorization"]
    assert guest.ask(payment=payment).status_code == 200


def test_the_same_payment_is_the_same_budget(guest: Payer, shop: House) -> None:
    """It can be shown again, when the answer was lost or the token has expired; it never funds a second budget."""
    bill = Bill.of(guest.ask(sats="50"))
    preimage = guest.pay(bill)
    agent = Payer(shop, guest.ask(bill.headers(L402, preimage)).json()["access_token"])
    agent.post(call("whoami"))
    shop.turn_clock(hours=2)
    assert agent.post(call("whoami")).status_code == 401
    agent = Payer(shop, guest.ask(bill.headers(PAYMENT, preimage)).json()["access_token"])
    answer = agent.post(call("whoami"))
    assert claims_of(shop, answer.headers["gatehouse-receipt"])["remainingSats"] == 8
    refused = guest.ask(bill.headers(PREIMAGE, preimage), sats="50")
    assert refused.json()["error_description"] == "the payment was used before", "whoever passed it on knows this, too"


def test_what_was_paid_for_a_call_can_be_traded_instead_but_not_both(guest: Payer) -> None:
    bill = Bill.of(guest.post(call("whoami")))
    preimage = guest.pay(bill)
    assert guest.ask(bill.headers(L402, preimage)).status_code == 200
    assert guest.post(call("whoami"), bill.headers(L402, preimage)).status_code == 402
    used = Bill.of(guest.post(call("whoami")))
    preimage = guest.pay(used)
    assert guest.post(call("whoami"), used.headers(PAYMENT, preimage)).status_code == 200
    for dialect in DIALECTS:
        refused = guest.ask(used.headers(dialect, preimage), sats="1")
        assert (refused.status_code, refused.json()["error_description"]) == (402, "the payment was used before")


def test_a_token_is_not_wider_than_what_is_sold(guest: Payer) -> None:
    bill = Bill.of(guest.ask(sats="50", scope="read"))
    answer = guest.ask(bill.headers(L402, guest.pay(bill)), scope="read")
    assert answer.json()["scope"] == "read"
    assert guest.ask(sats="50", scope="admin").json()["error"] == "invalid_scope"
    assert guest.ask(sats="50", resource="https://elsewhere.example/mcp").json()["error"] == "invalid_target"


@pytest.mark.parametrize("sats", ["0", "-1", "1.5", "1e3", "1000001", "99999999999999999999", "x", "\u0661"])
def test_odd_amounts_are_refused(guest: Payer, sats: str) -> None:
    answer = guest.ask(sats=sats)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_two_payments_at_once_are_none(guest: Payer) -> None:
    bill = Bill.of(guest.ask(sats="50"))
    headers = bill.headers(L402, guest.pay(bill)) | bill.headers(X402, "")
    assert guest.ask(headers).json()["error"] == "invalid_request"
    assert guest.post(call("whoami"), headers).json()["error"] == "invalid_payment"


def test_where_nothing_is_sold_there_is_no_such_grant(house: House) -> None:
    payer = Payer(house)
    assert payer.ask(sats="50").json()["error"] == "unsupported_grant_type"
    assert payer.post(call("whoami")).status_code == 401


# From a budget --------------------------------------------------------------------------------------------------------


def with_budget(shop: House, sats: int, most: int | None = None) -> Payer:
    """A member whose API key has a budget."""
    shop.add_user()
    key = shop.operator("api-key", "add", "x", "--user", "ada@example.com", "--quiet").strip()
    (found,) = shop.sql("SELECT id, user_id FROM api_keys")

    async def open_it() -> None:
        async with shop.world.db.begin() as db:
            await open_budget(
                db,
                str(found[0]),
                "api_key",
                shop.world.now(),
                allowance_sats=sats,
                max_calls_per_minute=most,
                user_id=str(found[1]),
            )

    shop.wait_for(open_it())
    return Payer(shop, key)


def test_a_budget_pays_until_it_is_used_up(shop: House) -> None:
    member = with_budget(shop, 50)
    for left in (29, 8):
        answer = member.post(call("whoami"))
        assert claims_of(shop, answer.headers["gatehouse-receipt"])["remainingSats"] == left
    bill = Bill.of_tool(member.post(call("whoami")))
    assert bill.accepted["amount"] == "21000", "then money helps"
    meta = {"org.paymentauth/credential": bill.credential(member.pay(bill))}
    assert member.post(call("whoami", meta)).json()["result"]["isError"] is False


def test_a_tool_that_fails_costs_nothing(shop: House) -> None:
    member = with_budget(shop, 5)
    assert member.post(call("add_note", text="")).json()["result"]["isError"] is True
    assert member.post(call("add_note", text="x")).json()["result"]["isError"] is False
    assert shop.sql("SELECT state FROM charges ORDER BY id") == [("released",), ("charged",)]


def test_an_idempotency_key_is_good_for_one_call(shop: House) -> None:
    """Charged once, made once: the second would be free."""
    member = with_budget(shop, 100)
    key = {"Idempotency-Key": "one"}
    assert member.post(call("whoami"), key).status_code == 200
    for again in (call("whoami"), call("list_notes")):
        answer = member.post(again, key)
        assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (409, -32009, 7)
    assert shop.sql("SELECT count(*), sum(sats) FROM charges") == [(1, 21)]


def test_too_many_calls_a_minute_are_429(shop: House) -> None:
    """No offer: paying would not help."""
    member = with_budget(shop, 1000, most=2)
    answers = [member.post(call("whoami")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 0


def test_guests_are_in_the_books(shop: House) -> None:
    """What came in for single calls, though nobody's budget was charged: each payment, and each call that it bought."""
    shop.add_user(admin=True)
    guest = Payer(shop)
    for tool, used in (("whoami", True), ("whoami", False), ("list_notes", True)):
        bill = Bill.of(guest.post(call(tool)))
        headers = bill.headers(L402, guest.pay(bill))
        if used:
            assert guest.post(call(tool), headers).status_code == 200
        else:
            assert guest.ask(headers).status_code == 200, "the same, traded for a token"
    books = Api(shop, admin_key(shop))("GET", "/spending")
    assert (books["total"]["sats_in"], books["total"]["calls"], books["total"]["sats_spent"]) == (44, 2, 0)
    assert {line["tool"]: (line["sats_in"], line["calls"]) for line in books["tools"]} == {
        "whoami": (42, 1),
        "list_notes": (2, 1),
    }
    assert [(line["project"], line["sats_in"]) for line in books["projects"]] == [("call", 44)]

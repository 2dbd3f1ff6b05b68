"""The three dialects of a 402, byte for byte, and what comes back altered, forged, foreign or broken (L402, MPP, x402 v2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.protocol import l402, x402
from app.protocol.macaroon import Macaroon, NotAMacaroon, minted, read
from app.protocol.offer import BadPayment, NoPayment, Offer, Proof
from app.protocol.paying import Counter

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
PREIMAGE = bytes(range(32))
HASH = hashlib.sha256(PREIMAGE).digest()
KEYS = (b"k" * 32,)
TOKEN_ID = b"t" * 32
INVOICE = "lnbcrt210n1pjexample"
OFFER = Offer(
    payment_hash=HASH,
    invoice=INVOICE,
    sats=21,
    network="regtest",
    resource="https://mcp.example.com/mcp",
    service="mcp",
    tool="forecast",
    expires_at=NOW + timedelta(minutes=10),
    usable_until=NOW + timedelta(days=1),
)
COUNTER = Counter(KEYS, "https://mcp.example.com")


def headers() -> list[tuple[str, str]]:
    return COUNTER.headers(OFFER, TOKEN_ID, "pay first", NOW)


def sent(name: str, number: int = 0) -> str:
    return [value for header, value in headers() if header == name][number]


def decoded(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def macaroon() -> Macaroon:
    return l402.macaroon(OFFER, KEYS, COUNTER.issuer, TOKEN_ID)


def with_preimage(token: Macaroon, preimage: bytes = PREIMAGE) -> str:
    return f"{base64.b64encode(token.serialized()).decode()}:{preimage.hex()}"


def test_the_challenges_come_in_the_order_that_clients_read() -> None:
    """agents.md §2, §3.4: L402, Payment, x402; a Bearer challenge would hide L402."""
    assert [name for name, _ in headers()] == [
        "WWW-Authenticate",
        "WWW-Authenticate",
        "PAYMENT-REQUIRED",
        "Cache-Control",
    ]
    assert sent("WWW-Authenticate").startswith("L402 ")
    assert sent("WWW-Authenticate", 1).startswith("Payment ")
    assert not any("bearer" in value.lower() for _, value in headers())
    assert sum(len(name) + len(value) + 4 for name, value in headers()) < 3200


def test_what_lnget_and_aperture_search_for_is_there() -> None:
    """Their expression on the first challenge: `macaroon`, then `invoice`; and a version 2 macaroon with an id of 66 bytes."""
    found = re.search(r'(LSAT|L402) macaroon="(.*?)",\s*invoice="(.*?)"', sent("WWW-Authenticate"))
    assert found
    assert found[3] == INVOICE
    raw = base64.b64decode(found[2], validate=True)
    assert raw[0] == 2
    assert len(read(raw).identifier) == 66
    assert read(raw).identifier == b"\0\0" + HASH + TOKEN_ID
    assert sent("WWW-Authenticate").endswith(f'version="0", token="{found[2]}"')


def test_the_macaroon_says_what_it_is_for() -> None:
    assert [caveat.decode() for caveat in macaroon().caveats] == [
        "services=mcp:0",
        "mcp_capabilities=forecast",
        f"mcp_valid_until={int((NOW + timedelta(days=1)).timestamp())}",
    ]


def test_the_payment_challenge_is_that_of_the_draft() -> None:
    """draft-lightning-charge-00 "Request Schema"; the id binds every parameter that is echoed."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', sent("WWW-Authenticate", 1)))
    assert list(given) == ["id", "realm", "method", "intent", "request", "expires"]
    assert given["realm"] == "mcp.example.com"
    assert (given["method"], given["intent"], given["expires"]) == ("lightning", "charge", "2026-11-21T12:10:00Z")
    assert "=" not in given["request"] + given["id"]
    request = base64.urlsafe_b64decode(given["request"] + "==")
    assert request == (
        b'{"amount":"21","currency":"sat","methodDetails":{"invoice":"lnbcrt210n1pjexample","network":"regtest",'
        b'"paymentHash":"' + HASH.hex().encode() + b'"}}'
    )
    assert hmac.digest(KEYS[0], json.dumps(["payment challenge", *list(given.values())[1:]]).encode(), "sha256") == (
        base64.urlsafe_b64decode(given["id"] + "=")
    )


def test_the_x402_offer_is_version_2_in_millisats() -> None:
    document = json.loads(base64.b64decode(sent("PAYMENT-REQUIRED"), validate=True))
    (accepted,) = document["accepts"]
    assert document["x402Version"] == 2
    assert document["resource"]["url"] == "https://mcp.example.com/mcp"
    assert {**accepted, "extra": ...} == {
        "scheme": "exact",
        "network": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328",
        "amount": "21000",
        "asset": "BTC",
        "payTo": "anonymous",
        "maxTimeoutSeconds": 600,
        "extra": ...,
    }
    assert accepted["extra"]["paymentMethod"] == "lightning"
    assert accepted["extra"]["invoice"] == INVOICE


def test_an_unpaid_tool_answers_with_a_result_for_both() -> None:
    """No JSON-RPC error: MCP 2026-07-28 keeps -32020 to -32099 for itself (agents.md §3.2)."""
    result = COUNTER.tool_result(OFFER, "pay first", NOW)
    assert result["isError"] is True
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert result["structuredContent"]["accepts"][0]["extra"]["invoice"] == INVOICE
    (challenge,) = result["_meta"]["org.paymentauth/payment-required"]["challenges"]
    assert challenge["request"]["methodDetails"]["invoice"] == INVOICE
    assert challenge["id"] in sent("WWW-Authenticate", 1)


# What is sent back --------------------------------------------------------------------------------------------------------


def credential(**changed: Any) -> dict[str, Any]:
    echoed = dict(re.findall(r'(\w+)="([^"]*)"', sent("WWW-Authenticate", 1)))
    return {"challenge": {**echoed, **changed}, "payload": {"preimage": PREIMAGE.hex()}}


def signature(**changed: Any) -> dict[str, Any]:
    accepted = json.loads(base64.b64decode(sent("PAYMENT-REQUIRED")))["accepts"][0]
    return {"x402Version": 2, "accepted": {**accepted, **changed}, "payload": {"invoice": INVOICE}}


@pytest.mark.parametrize("scheme", ["L402", "LSAT", "l402", "lsat"])
def test_l402_comes_back(scheme: str) -> None:
    proof = COUNTER.presented(f"{scheme} {with_preimage(macaroon())}", None)
    assert isinstance(proof, Proof)
    assert (proof.dialect, proof.payment_hash, proof.preimage, proof.is_ours) == ("L402", HASH, PREIMAGE, True)
    assert (proof.service, proof.tools, proof.until) == ("mcp", frozenset({"forecast"}), NOW + timedelta(days=1))


@pytest.mark.parametrize("scheme", ["Payment", "payment"])
def test_a_payment_comes_back(scheme: str) -> None:
    proof = COUNTER.presented(f"{scheme} {encoded(credential())}", None)
    assert isinstance(proof, Proof)
    assert (proof.dialect, proof.payment_hash, proof.preimage) == ("Payment", HASH, PREIMAGE)
    assert proof.challenge == credential()["challenge"]["id"]
    in_meta = credential(request=decoded(credential()["challenge"]["request"]))
    assert COUNTER.presented_in({"org.paymentauth/credential": in_meta}) == proof


def test_x402_comes_back_with_and_without_the_preimage() -> None:
    """Clients of the invoice draft send none: only we and whom we asked know `extra.id`."""
    for preimage in (None, PREIMAGE):
        given = signature()
        if preimage:
            given["payload"]["preimage"] = preimage.hex()
        proof = COUNTER.presented("Bearer abc", encoded(given))
        assert isinstance(proof, Proof)
        assert (proof.dialect, proof.payment_hash, proof.preimage, proof.is_ours) == ("x402", HASH, preimage, True)
        assert COUNTER.presented_in({"x402/payment": given}) == proof
        assert COUNTER.credential("x402", encoded(given)) == proof


def test_the_seeds_preimage_is_a_claim_and_no_more() -> None:
    """`Authorization: x402 <preimage>`: any 64 characters are a claim; who settled what, the ledger knows."""
    proof = COUNTER.presented(f"x402 {PREIMAGE.hex()}", None)
    assert proof == Proof("preimage", HASH, PREIMAGE, False)


def test_somebody_elses_offer_is_for_the_facilitator() -> None:
    given = {"x402Version": 2, "accepted": {"scheme": "exact", "network": "eip155:1"}, "payload": {"signature": "0x"}}
    chosen = COUNTER.presented("", encoded(given))
    assert isinstance(chosen, x402.Chosen)
    assert not chosen.is_lightning


@pytest.mark.parametrize("authorization", ["", "Bearer x", "DPoP x", "Basic x", "L402x y"])
def test_other_credentials_are_not_a_payment(authorization: str) -> None:
    assert COUNTER.presented(authorization, None) is None
    assert COUNTER.presented_in(None) is None
    assert COUNTER.presented_in({"progressToken": 1}) is None


def refused(authorization: str, signature: str | None = None) -> type[Exception]:
    with pytest.raises((BadPayment, NoPayment)) as caught:
        COUNTER.presented(authorization, signature)
    return caught.type


FOREIGN = replace(OFFER, payment_hash=bytes(32))
FORGED = {
    "another key": with_preimage(l402.macaroon(OFFER, (b"j" * 32,), COUNTER.issuer, TOKEN_ID)),
    "another server's, same shape": with_preimage(
        minted(b"root", b"elsewhere", macaroon().identifier, macaroon().caveats)
    ),
    "a caveat changed": with_preimage(
        replace(macaroon(), caveats=(*macaroon().caveats[:2], b"mcp_valid_until=99999999999"))
    ),
    "a caveat taken away": with_preimage(replace(macaroon(), caveats=macaroon().caveats[:2])),
    "a caveat added without its signature": with_preimage(replace(macaroon(), caveats=(*macaroon().caveats, b"a=b"))),
    "another invoice's id": with_preimage(replace(macaroon(), identifier=b"\0\0" + bytes(32) + TOKEN_ID)),
    "a preimage that is not its own": with_preimage(macaroon(), bytes(32)),
    "a narrower one that nobody understands": with_preimage(macaroon().narrowed(b"phase=full-moon")),
    "another service": with_preimage(macaroon().narrowed(b"services=other:0")),
    "without caveats": with_preimage(minted(b"root", b"", macaroon().identifier, [])),
    "for an invoice that we never wrote": with_preimage(l402.macaroon(FOREIGN, KEYS, "", TOKEN_ID)),
}


@pytest.mark.parametrize("why", FORGED)
def test_forged_and_altered_macaroons_buy_nothing(why: str) -> None:
    assert refused(f"L402 {FORGED[why]}") is NoPayment


def test_whoever_narrows_a_macaroon_narrows_what_it_buys() -> None:
    narrow = macaroon().narrowed(b"mcp_capabilities=nothing").narrowed(b"mcp_valid_until=1000")
    wide = narrow.narrowed(b"mcp_capabilities=forecast").narrowed(b"mcp_valid_until=99999999999")
    proof = l402.proof(with_preimage(wide), KEYS)
    assert (proof.tools, proof.until) == (frozenset(), datetime.fromtimestamp(1000, UTC))


def test_a_comma_in_a_tools_name_makes_no_second_tool() -> None:
    token = l402.macaroon(replace(OFFER, tool="cheap,dear"), KEYS, COUNTER.issuer, TOKEN_ID)
    proof = l402.proof(with_preimage(token), KEYS)
    assert proof.tools == frozenset({l402.capability("cheap,dear")})
    assert "dear" not in proof.tools


def test_after_a_change_of_keys_what_was_sold_before_is_good() -> None:
    newer = Counter((b"n" * 32, *KEYS), COUNTER.issuer)
    assert newer.presented(f"L402 {with_preimage(macaroon())}", None)
    assert newer.presented(f"Payment {encoded(credential())}", None)
    assert newer.presented("", encoded(signature()))


OTHER_REQUEST = encoded({"amount": "1", "currency": "sat", "methodDetails": {"paymentHash": HASH.hex()}})


@pytest.mark.parametrize(
    "changed",
    [
        {"request": OTHER_REQUEST},
        {"realm": "elsewhere.example"},
        {"expires": "2099-01-01T00:00:00Z"},
        {"method": "tempo"},
        {"intent": "session"},
        {"id": "A" * 43},
        {"id": ""},
        {"id": "not base64 \u00e9"},
    ],
    ids=str,
)
def test_an_altered_challenge_buys_nothing(changed: dict[str, Any]) -> None:
    assert refused(f"Payment {encoded(credential(**changed))}") is NoPayment


def test_a_challenge_needs_its_own_preimage() -> None:
    given = credential()
    given["payload"]["preimage"] = "00" * 32
    assert refused(f"Payment {encoded(given)}") is NoPayment


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": "1000"},
        {"payTo": "mallory"},
        {"network": "bip122:000000000019d6689c085ae165831e93"},
        {"extra": {"paymentMethod": "lightning", "invoice": INVOICE, "paymentHash": HASH.hex()}},
        {"extra": {"paymentMethod": "lightning", "invoice": INVOICE, "paymentHash": HASH.hex(), "id": "A" * 43}},
        {"extra": {"paymentMethod": "lightning", "invoice": "lnbc1other", "paymentHash": HASH.hex(), "id": "A" * 43}},
        {"more": True},
        {"asset": "\ud800"},
    ],
    ids=str,
)
def test_an_altered_offer_buys_nothing(changed: dict[str, Any]) -> None:
    assert refused("", encoded(signature(**changed))) is NoPayment


def test_an_offer_with_another_invoice_or_preimage_buys_nothing() -> None:
    for payload in ({"invoice": "lnbc1other"}, {"invoice": INVOICE, "preimage": "00" * 32}):
        assert refused("", encoded({**signature(), "payload": payload})) is NoPayment


DEEP = base64.b64encode(b'{"a":' * 3000 + b"1" + b"}" * 3000).decode()
BROKEN = [
    "L402 ",
    "L402 abc",
    f"L402 abc:{PREIMAGE.hex()}",
    "L402 !!!:" + PREIMAGE.hex(),
    f"L402 {base64.b64encode(macaroon().serialized()).decode()}:xyz",
    f"L402 {base64.b64encode(macaroon().serialized()[:-1]).decode()}:{PREIMAGE.hex()}",
    f"L402 {base64.b64encode(macaroon().serialized() + b'x').decode()}:{PREIMAGE.hex()}",
    f"L402 {'A' * 20000}:{PREIMAGE.hex()}",
    "L402 a,b:" + PREIMAGE.hex(),
    "Payment ",
    "Payment \u00e9",
    "Payment " + "A" * 20000,
    f"Payment {encoded([])}",
    f"Payment {encoded({'challenge': {}})}",
    f"Payment {encoded({'challenge': 1, 'payload': 1})}",
    f"Payment {encoded({**credential(), 'payload': {'preimage': None}})}",
    f"Payment {encoded(credential(realm=7))}",
    f"Payment {DEEP}",
    "x402 preimage_xxx",
    "x402 " + "zz" * 32,
    "x402",
]


@pytest.mark.parametrize("authorization", BROKEN, ids=[text[:40] for text in BROKEN])
def test_what_cannot_be_read_is_said_so(authorization: str) -> None:
    assert refused(authorization) is BadPayment


def test_broken_signatures_are_said_so() -> None:
    for text in ("", "!", encoded(1), encoded({"x402Version": 1}), encoded({"x402Version": 2, "accepted": []}), DEEP):
        assert refused("", text) is BadPayment
    assert refused(f"x402 {PREIMAGE.hex()}", encoded(signature())) is BadPayment


@pytest.mark.parametrize("cut", range(len(macaroon().serialized())))
def test_a_macaroon_cut_off_anywhere_is_none(cut: int) -> None:
    with pytest.raises(NotAMacaroon):
        read(macaroon().serialized()[:cut])


@pytest.mark.parametrize(
    "raw",
    [
        b"\x02\x01\x00\x00\x00\x06\x20" + bytes(32),  # no identifier
        b"\x02\x02\x80\x00\x00\x00\x06\x20" + bytes(32),  # a length of nothing in two bytes
        b"\x02\x02\xff\xff\xff\x7f",  # a length of 256 MB
        b"\x02\x02\x01a\x00\x02\x01b\x04\x01c\x00\x00\x06\x20" + bytes(32),  # a third party's caveat
        b"\x02\x02\x01a\x00" + b"\x02\x01b\x00" * 33 + b"\x00\x06\x20" + bytes(32),  # too many
        b"\x02\x02\x01a\x00\x00\x06\x10" + bytes(16),  # half a signature
        b"\x01abc",
    ],
)
def test_odd_macaroons_are_none(raw: bytes) -> None:
    with pytest.raises(NotAMacaroon):
        read(raw)

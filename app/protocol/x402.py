"""x402 version 2, over HTTP and inside MCP: an offer for Lightning, and the operator's own ones for a facilitator (x402 v2 §5).

For Lightning there is no merged scheme; this is the draft that deployed clients speak: the invoice goes back as it came, and the
server itself knows whether it is settled. So that nobody claims a payment who merely saw the invoice, the offer carries a tag of
ours, `extra.id`, and must come back whole.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from app.protocol.offer import (
    BadPayment,
    NoPayment,
    Offer,
    Proof,
    b64url,
    canonical,
    hash_of,
    is_tied,
    json_object,
    preimage_of,
    tied,
    unbase64,
)

VERSION = 2
REQUIRED_HEADER, PAID_HEADER, RESPONSE_HEADER = "PAYMENT-REQUIRED", "PAYMENT-SIGNATURE", "PAYMENT-RESPONSE"
PAYMENT, RESPONSE = "x402/payment", "x402/payment-response"  # in `_meta` of MCP
LIGHTNING = "lightning"
# CAIP-2: the first half of the genesis block's hash.
CHAINS = {
    "mainnet": "bip122:000000000019d6689c085ae165831e93",
    "testnet": "bip122:000000000933ea01ad0ee984209779ba",
    "signet": "bip122:00000008819873e925422c1ff0f99f7c",
    "regtest": "bip122:0f9188f13cb7b2c71f2a335e3a4fc328",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """An offer that a client came back with. `payload` is its payment, whose meaning the scheme knows."""

    accepted: dict[str, Any]
    payload: dict[str, Any]
    document: dict[str, Any]

    @property
    def is_lightning(self) -> bool:
        extra = self.accepted.get("extra")
        return isinstance(extra, dict) and extra.get("paymentMethod") == LIGHTNING


def requirements(offer: Offer, keys: tuple[bytes, ...], seconds: int) -> dict[str, Any]:
    """The Lightning offer; millisats, as the draft has it. `seconds` are left to pay in."""
    asked: dict[str, Any] = {
        "scheme": "exact",
        "network": CHAINS[offer.network],
        "amount": str(offer.sats * 1000),
        "asset": "BTC",
        "payTo": "anonymous",
        "maxTimeoutSeconds": seconds,
        "extra": {"paymentMethod": LIGHTNING, "invoice": offer.invoice, "paymentHash": offer.payment_hash.hex()},
    }
    return {**asked, "extra": {**asked["extra"], "id": b64url(_tag(keys, asked))}}


def required(url: str, description: str, accepts: list[dict[str, Any]], error: str) -> dict[str, Any]:
    """The body of a 402, and of a tool's answer in MCP."""
    resource = {"url": url, "description": description, "mimeType": "application/json"}
    return {"x402Version": VERSION, "error": error, "resource": resource, "accepts": accepts}


def header(document: dict[str, Any]) -> str:
    """base64 of JSON: standard alphabet, padded, which is what `atob` takes."""
    return base64.b64encode(canonical(document)).decode()


def chosen(encoded: str) -> Chosen:
    """From PAYMENT-SIGNATURE. Raises BadPayment."""
    return chosen_of_object(json_object(encoded))


def chosen_of_object(document: object) -> Chosen:
    """The same from `_meta` of MCP."""
    if not isinstance(document, dict) or document.get("x402Version") != VERSION:
        raise BadPayment("the payment is not one of x402 version 2")
    accepted, payload = document.get("accepted"), document.get("payload")
    if not isinstance(accepted, dict) or not isinstance(payload, dict):
        raise BadPayment("the payment does not say what it accepted, or has no payload")
    return Chosen(accepted, payload, document)


def proof(given: Chosen, keys: tuple[bytes, ...]) -> Proof:
    """For a payment by Lightning. Raises BadPayment, NoPayment."""
    extra = given.accepted.get("extra")
    if not isinstance(extra, dict) or not isinstance(extra.get("id"), str):
        raise NoPayment("the offer is not one of ours")
    plain = {**given.accepted, "extra": {name: value for name, value in extra.items() if name != "id"}}
    try:
        tag = unbase64(extra["id"])
    except BadPayment as fault:
        raise NoPayment("the offer is not one of ours") from fault
    if (
        not is_tied(tag, keys, "x402 offer", _said(plain))
        or given.payload.get("invoice", extra["invoice"]) != extra["invoice"]
    ):
        raise NoPayment("the offer is not one of ours, or was altered")
    payment_hash = bytes.fromhex(extra["paymentHash"])
    preimage = None
    if "preimage" in given.payload:
        preimage = preimage_of(given.payload["preimage"])
        if hash_of(preimage) != payment_hash:
            raise NoPayment("the preimage is not that of the offer's invoice")
    return Proof("x402", payment_hash, preimage, True, extra["id"])


def response(network: str, transaction: str, payer: str | None = None) -> dict[str, Any]:
    """That it is settled."""
    said: dict[str, Any] = {"success": True, "transaction": transaction, "network": network}
    return said if payer is None else {**said, "payer": payer}


def _tag(keys: tuple[bytes, ...], asked: dict[str, Any]) -> bytes:
    return tied(keys, "x402 offer", _said(asked))


def _said(asked: dict[str, Any]) -> str:
    return canonical(asked).decode("utf-8", "surrogatepass")

"""The `Payment` authentication scheme, over HTTP and inside MCP (draft-httpauth-payment-00, draft-lightning-charge-00)."""

from __future__ import annotations

import json
from datetime import datetime
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
    moment,
    preimage_of,
    tied,
    unbase64,
)

METHOD, INTENT = "lightning", "charge"
REQUIRED, CREDENTIAL, RECEIPT = (
    "org.paymentauth/payment-required",
    "org.paymentauth/credential",
    "org.paymentauth/receipt",
)  # in `_meta` of MCP
ECHOED = ("realm", "method", "intent", "request", "expires")


def request(offer: Offer) -> dict[str, Any]:
    """draft-lightning-charge-00 "Request Schema"."""
    return {
        "amount": str(offer.sats),
        "currency": "sat",
        "methodDetails": {
            "invoice": offer.invoice,
            "network": offer.network,
            "paymentHash": offer.payment_hash.hex(),
        },
    }


def parameters(offer: Offer, keys: tuple[bytes, ...], realm: str) -> dict[str, str]:
    """The challenge's parameters in the order in which they are sent. No `description` and no `opaque`: clients leave them
    out of what they echo."""
    given = {
        "realm": realm,
        "method": METHOD,
        "intent": INTENT,
        "request": b64url(canonical(request(offer))),
        "expires": moment(offer.expires_at),
    }
    return {"id": b64url(tied(keys, "payment challenge", *given.values())), **given}


def challenge(offer: Offer, keys: tuple[bytes, ...], realm: str) -> str:
    """The value of WWW-Authenticate."""
    return "Payment " + ", ".join(f'{name}="{value}"' for name, value in parameters(offer, keys, realm).items())


def challenge_object(offer: Offer, keys: tuple[bytes, ...], realm: str) -> dict[str, Any]:
    """The same inside MCP, where the request is JSON itself."""
    return {**parameters(offer, keys, realm), "request": request(offer)}


def proof(credentials: str, keys: tuple[bytes, ...]) -> Proof:
    """What the token behind `Payment` stands for. Raises BadPayment, NoPayment."""
    return proof_of_object(json_object(credentials), keys)


def proof_of_object(credential: object, keys: tuple[bytes, ...]) -> Proof:
    """The same from `_meta` of MCP, where `request` may be JSON itself."""
    if not isinstance(credential, dict):
        raise BadPayment("the credential is not a JSON object")
    echoed, payload = credential.get("challenge"), credential.get("payload")
    if not isinstance(echoed, dict) or not isinstance(payload, dict):
        raise BadPayment("the credential has no challenge or no payload")
    asked = echoed.get("request")
    texts = {**echoed, "request": b64url(canonical(asked)) if isinstance(asked, dict) else asked}
    said = [texts.get(name) for name in ECHOED]
    identifier = echoed.get("id")
    if not isinstance(identifier, str) or not all(isinstance(text, str) for text in said):
        raise BadPayment("the credential does not repeat its challenge")
    preimage = preimage_of(payload.get("preimage"))
    if not is_tied(_mac_of(identifier), keys, "payment challenge", *(str(text).rstrip("=") for text in said)):
        raise NoPayment("the challenge is not one of ours, or was altered")
    payment_hash = _hash_in(str(texts["request"]))
    if payment_hash != hash_of(preimage):
        raise NoPayment("the preimage is not that of the challenge's invoice")
    return Proof("Payment", payment_hash, preimage, True, identifier)


def receipt(proof: Proof, at: datetime) -> dict[str, str]:
    """draft-lightning-charge-00 "Receipt Generation"; never with the preimage."""
    said = {
        "method": METHOD,
        "reference": proof.payment_hash.hex(),
        "status": "success",
        "timestamp": moment(at),
    }
    return said if proof.challenge is None else {**said, "challengeId": proof.challenge}


def _mac_of(identifier: str) -> bytes:
    try:
        return unbase64(identifier)
    except BadPayment:
        return b""


def _hash_in(encoded: str) -> bytes:
    """Of a request that we wrote ourselves."""
    return bytes.fromhex(json.loads(unbase64(encoded))["methodDetails"]["paymentHash"])

"""One invoice on offer, and what is presented for it, whichever of the three 402 dialects says it (agents without an account)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.protocol.errors import OAuthError

MAX_CREDENTIAL = 16 * 1024  # characters; ours are under 4,000
NETWORKS = {"bc": "mainnet", "tb": "testnet", "tbs": "signet", "bcrt": "regtest"}  # by the prefix of a bolt11 invoice


def network_of(bolt11: str) -> str:
    """The network of an invoice, by its prefix; mainnet for one that says nothing else (BOLT 11 "Human-Readable Part")."""
    text = bolt11.lower().removeprefix("ln")
    return next((NETWORKS[name] for name in ("bcrt", "tbs", "tb") if text.startswith(name)), NETWORKS["bc"])


class NoPayment(OAuthError):
    """What was presented buys nothing here, for this reason. A new invoice goes with it: credentials run out, and every
    client that pays looks for the next offer in a 402 (never in a 401)."""

    error, status = "payment_required", 402


class BadPayment(OAuthError):
    """It cannot be read (MPP "malformed-credential", x402 v2: 400)."""

    error, status = "invalid_payment", 400


@dataclass(frozen=True, slots=True)
class Offer:
    """`sats` for one call of `tool` at `resource`, or, where there is no tool, for a token with that budget.

    `service` is the resource's name in macaroons; `network` the invoice's, as in NETWORKS. The invoice can be paid until
    `expires_at`; what was paid can be used until `usable_until`.
    """

    payment_hash: bytes
    invoice: str
    sats: int
    network: str
    resource: str
    service: str
    tool: str | None
    expires_at: datetime
    usable_until: datetime

    @property
    def what(self) -> str:
        return f"one call of {self.tool}" if self.tool else f"a token with a budget of {self.sats} sats"


@dataclass(frozen=True, slots=True)
class Proof:
    """A payment that somebody says is theirs, with what they showed for it: the `preimage`, or that they know what only we
    and whom we offered it to do (`is_ours`). `tools` are those it is narrowed to, `until` when it ends.

    `challenge` is what the receipt names; `accepted` what an x402 client chose, for the receipt in its dialect.
    """

    dialect: str
    payment_hash: bytes
    preimage: bytes | None
    is_ours: bool
    challenge: str | None = None
    service: str | None = None
    tools: frozenset[str] | None = None
    until: datetime | None = None


def tied(keys: tuple[bytes, ...], label: str, *parts: str) -> bytes:
    """A MAC over a label and parts, none of which can pass for another; made with the newest of our keys."""
    return hmac.digest(keys[0], _joined(label, parts), "sha256")


def is_tied(mac: bytes, keys: tuple[bytes, ...], label: str, *parts: str) -> bool:
    message = _joined(label, parts)
    return any(hmac.compare_digest(mac, hmac.digest(key, message, "sha256")) for key in keys)


def _joined(label: str, parts: tuple[str, ...]) -> bytes:
    return json.dumps([label, *parts], ensure_ascii=True).encode()


def canonical(value: object) -> bytes:
    """JSON as RFC 8785 (JCS) writes it, for what we send: text, whole numbers, lists and objects with ASCII names. Raises
    BadPayment for what is nested too deeply, as others may send it."""
    try:
        written = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError as fault:
        raise BadPayment("the payment is nested too deeply") from fault
    return written.encode("utf-8", "surrogatepass")


def b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unbase64(text: str) -> bytes:
    """Either alphabet, with or without padding, as clients send them. Raises BadPayment."""
    plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadPayment("the payment is not base64") from fault


def json_object(text: str) -> dict[str, Any]:
    """The JSON object inside base64. Raises BadPayment."""
    if len(text) > MAX_CREDENTIAL:
        raise BadPayment("the payment is too long")
    try:
        value = json.loads(unbase64(text))
    except (ValueError, RecursionError) as fault:
        raise BadPayment("the payment is not JSON in base64") from fault
    if not isinstance(value, dict):
        raise BadPayment("the payment is not a JSON object")
    return value


def preimage_of(text: object) -> bytes:
    """32 bytes in hex. Raises BadPayment."""
    if not isinstance(text, str) or len(text) != 64 or set(text.lower()) - set("0123456789abcdef"):
        raise BadPayment("the preimage is not 64 hexadecimal characters")
    return bytes.fromhex(text)


def hash_of(preimage: bytes) -> bytes:
    return hashlib.sha256(preimage).digest()


def moment(at: datetime) -> str:
    """RFC 3339, whole seconds, as every dialect writes times."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

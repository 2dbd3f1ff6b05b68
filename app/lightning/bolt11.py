"""BOLT #11 invoices, read and checked before one is offered; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.lightning.bech32 import NotBech32, decoded, to_bytes

NETWORKS = {"bc": "bitcoin", "tb": "testnet", "tbs": "signet", "bcrt": "regtest"}
PICO = {"m": 10**9, "u": 10**6, "n": 10**3, "p": 1}  # of a bitcoin, in its millionth millionth
HEAD = re.compile(r"ln(bcrt|bc|tbs|tb)(?:([1-9][0-9]{0,18})([munp]?))?")
LONGEST = 4096  # characters
SIGNATURE = 104  # five-bit values: 64 bytes, and which of the keys
HASH, DESCRIPTION, EXPIRY, DESCRIPTION_HASH = 1, 13, 6, 23  # the tags, as five-bit values
DEFAULT_EXPIRY = 3600


class BadInvoice(ValueError):
    """No bolt11 invoice, or not the one that was asked for."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """`msat` None: the payer chooses. Times in seconds since 1970; `payment_hash` is 64 hex digits."""

    network: str
    msat: int | None
    payment_hash: str
    description: str | None
    created_at: int
    expires_at: int


def decode(invoice: str) -> Decoded:
    """Raises BadInvoice. The signature is not checked: it is our own node that says it."""
    if len(invoice) > LONGEST:
        raise BadInvoice("the invoice is too long")
    try:
        prefix, values = decoded(invoice)
    except NotBech32 as fault:
        raise BadInvoice(f"the invoice is {fault}") from fault
    head = HEAD.fullmatch(prefix)
    if head is None or len(values) < 7 + SIGNATURE:
        raise BadInvoice("the invoice is not of Lightning")
    fields = _fields(values[7:-SIGNATURE])
    created_at = _number(values[:7])
    if HASH not in fields:
        raise BadInvoice("the invoice has no payment hash")
    described = fields.get(DESCRIPTION)
    return Decoded(
        network=NETWORKS[head[1]],
        msat=_msat(head[2], head[3]),
        payment_hash=to_bytes(fields[HASH]).hex(),
        description=None if described is None else to_bytes(described).decode("utf-8", "replace"),
        created_at=created_at,
        expires_at=created_at + (_number(fields[EXPIRY]) if EXPIRY in fields else DEFAULT_EXPIRY),
    )


def checked(invoice: str, sats: int, network: str, until: int) -> Decoded:
    """The invoice, if it is for exactly this much, on this network, and can be paid now and until about `until` (seconds
    since 1970). Raises BadInvoice."""
    found = decode(invoice)
    if found.msat != sats * 1000:
        raise BadInvoice("the invoice is for another amount")
    if found.network != network:
        raise BadInvoice(f"the invoice is of {found.network}, not of {network}")
    if found.expires_at > until + 60 or found.expires_at < until - 60:
        raise BadInvoice("the invoice expires at another time")
    return found


def _msat(amount: str | None, unit: str | None) -> int | None:
    if amount is None:
        return None
    pico = int(amount) * (PICO[unit] if unit else 10**12)
    if pico % 10:
        raise BadInvoice("the invoice is for a part of a millisatoshi")
    return pico // 10


def _fields(values: list[int]) -> dict[int, list[int]]:
    """The first of each tag; a hash of another length than 256 bits is none (BOLT #11)."""
    found: dict[int, list[int]] = {}
    while len(values) >= 3:
        tag, length = values[0], values[1] * 32 + values[2]
        field, values = values[3 : 3 + length], values[3 + length :]
        if len(field) < length:
            raise BadInvoice("the invoice is cut short")
        if tag not in (HASH, DESCRIPTION_HASH) or length == 52:
            found.setdefault(tag, field)
    return found


def _number(values: list[int]) -> int:
    number = 0
    for value in values[:13]:
        number = number << 5 | value
    return number

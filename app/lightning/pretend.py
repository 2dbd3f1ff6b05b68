"""A node that only pretends, for demos and tests: its invoices are of regtest, real in form, and whoever likes may "pay" them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime, timedelta

from app.db.engine import HotPool
from app.lightning import store
from app.lightning.bech32 import encoded, from_bytes, from_number, to_bytes
from app.lightning.secp256k1 import N, recoverable

PREFIX = "lnbcrt"


class Pretend:
    """What it knows is in Postgres, so that all workers are one node."""

    network = "regtest"

    def __init__(self, pool: HotPool, now: Callable[[], datetime]) -> None:
        self._pool, self._now = pool, now
        self._key = int.from_bytes(hashlib.sha256(b"the pretend node's key is no secret").digest(), "big") % N

    async def invoice(self, sats: int, memo: str, seconds: int, reference: str) -> str:
        now, preimage = self._now(), os.urandom(32)
        payment_hash = hashlib.sha256(preimage).digest()
        await store.add(self._pool, payment_hash, preimage, sats, now + timedelta(seconds=seconds))
        return written(PREFIX, self._key, payment_hash, sats, memo, int(now.timestamp()), seconds)

    async def settled(self, payment_hash: str) -> bytes | None:
        return await store.paid(self._pool, bytes.fromhex(payment_hash))

    async def pay(self, payment_hash: str) -> bytes | None:
        """As a wallet would; the preimage, or None for an unknown or expired invoice."""
        return await store.pay(self._pool, bytes.fromhex(payment_hash), self._now())

    async def close(self) -> None:
        return None


def written(prefix: str, key: int, payment_hash: bytes, sats: int, memo: str, at: int, seconds: int) -> str:
    """BOLT #11: payment hash, secret, description, expiry, features (payment_secret, var_onion), signed."""
    prefix = f"{prefix}{sats * 10}n"
    values = from_number(at, 7)
    expiry = from_number(seconds, max(1, -(-seconds.bit_length() // 5)))
    secret = hashlib.sha256(b"secret" + payment_hash).digest()
    features = from_number(1 << 14 | 1 << 8, 3)
    words = (from_bytes(memo.encode()[:600]), expiry, features)
    for tag, field in ((1, from_bytes(payment_hash)), (16, from_bytes(secret)), *zip((13, 6, 5), words, strict=True)):
        values += [tag, *from_number(len(field), 2), *field]
    signed = prefix.encode() + _padded(values)
    return encoded(prefix, values + from_bytes(recoverable(key, hashlib.sha256(signed).digest())))


def _padded(values: list[int]) -> bytes:
    """Whole bytes, filled up with zero bits."""
    return to_bytes([*values, 0, 0])[: -(-len(values) * 5 // 8)]

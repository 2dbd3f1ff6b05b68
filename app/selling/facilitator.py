"""Stablecoins over x402, only through the facilitator that the operator set: it checks and settles, we hold no keys (x402 v2 §7)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

import httpx2
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from app.paid_settings import Facilitator
from app.protocol.errors import TemporarilyUnavailable
from app.protocol.offer import NoPayment, canonical
from app.protocol.x402 import VERSION, Chosen
from app.selling import store
from app.world import World

SECONDS = 30.0
log = structlog.get_logger("gatehouse.selling")


@dataclass(frozen=True, slots=True)
class Settled:
    """A payment that is on its chain; told to its payer in PAYMENT-RESPONSE. `fingerprint` is that of what the payer sent."""

    fingerprint: bytes
    transaction: str
    network: str
    payer: str | None


def offers(facilitator: Facilitator | None, sats: int) -> tuple[dict[str, Any], ...]:
    """What is asked for so many sats, rounded up; empty where the operator set none."""
    if facilitator is None:
        return ()
    return (
        {
            "scheme": facilitator.scheme,
            "network": facilitator.network,
            "amount": str(ceil(sats * facilitator.units_per_sat)),
            "asset": facilitator.asset,
            "payTo": facilitator.pay_to,
            "maxTimeoutSeconds": facilitator.timeout,
            "extra": facilitator.extra,
        },
    )


async def settle(world: World, given: Chosen, sats: int, subject: str, now: datetime) -> Settled:
    """Checked and settled before anything is given, and written down; `take` follows. The same payment once more is not settled
    again: it is good for the same `subject` as long as nothing was given for it. Raises NoPayment, TemporarilyUnavailable."""
    facilitator = world.settings.facilitator
    asked = offers(facilitator, sats)
    if facilitator is None or given.accepted not in asked:
        raise NoPayment("this was not offered, or not for this price")
    fingerprint = hashlib.sha256(canonical([given.accepted, given.payload])).digest()
    known = await store.settlement(world.pool, fingerprint)
    if known is not None:
        if known["subject"] != subject or known["claimed_by"] is not None:
            raise NoPayment("the payment was used before")
        return Settled(fingerprint, known["transaction"], known["network"], known["payer"])
    question = {"x402Version": VERSION, "paymentPayload": given.document, "paymentRequirements": asked[0]}
    verified = await _asked(facilitator, "verify", question)
    if verified.get("isValid") is not True:
        raise NoPayment(f"the facilitator says no: {_word(verified.get('invalidReason'))}")
    done = await _asked(facilitator, "settle", question)
    if done.get("success") is not True or not isinstance(done.get("transaction"), str) or not done["transaction"]:
        raise NoPayment(f"the facilitator could not settle it: {_word(done.get('errorReason'))}")
    transaction, payer = done["transaction"][:200], done.get("payer")
    settled = Settled(fingerprint, transaction, facilitator.network, payer[:200] if isinstance(payer, str) else None)
    if not await store.add_settlement(world.pool, settled, subject, now):
        raise NoPayment("the payment was used before")
    return settled


async def take(db: AsyncConnection, settled: Settled, by: str, now: datetime) -> bool:
    """True for the one who comes first, in the transaction that gives what it bought."""
    return await store.claim_settlement(db, settled, by, now)


async def give_back(world: World, settled: Settled, by: str) -> None:
    """What was paid for failed: the same payment, which nobody can give back on its chain, is good once more."""
    await store.unclaim_settlement(world.pool, settled.fingerprint, by)


async def _asked(facilitator: Facilitator, what: str, question: dict[str, Any]) -> dict[str, Any]:
    url = f"{str(facilitator.url).rstrip('/')}/{what}"
    try:
        async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False, follow_redirects=False) as client:
            answer = (await client.post(url, json=question)).json()
    except (httpx2.HTTPError, ValueError, OSError) as fault:
        log.warning("facilitator away", what=what, error=type(fault).__name__)
        raise TemporarilyUnavailable("the facilitator does not answer; try again", retry_after=5) from fault
    if not isinstance(answer, dict):
        raise TemporarilyUnavailable("the facilitator does not answer as it should", retry_after=5)
    return answer


def _word(reason: object) -> str:
    return reason[:80] if isinstance(reason, str) else "no reason given"

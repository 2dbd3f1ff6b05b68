"""Stablecoins over x402, only through the facilitator that the operator set: it checks and settles, we hold no keys (x402 v2 §7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import httpx2
import structlog

from app.paid_settings import Facilitator
from app.protocol.errors import TemporarilyUnavailable
from app.protocol.offer import NoPayment
from app.protocol.x402 import VERSION, Chosen
from app.replay import first_use
from app.world import World

SECONDS = 30.0
KEPT = timedelta(days=400)  # how long a settlement is remembered as used
log = structlog.get_logger("gatehouse.selling")


@dataclass(frozen=True, slots=True)
class Settled:
    """A payment that is on its chain; told to its payer in PAYMENT-RESPONSE."""

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


async def settle(world: World, given: Chosen, sats: int, now: datetime) -> Settled:
    """Checked and settled before anything is given. Raises NoPayment, TemporarilyUnavailable."""
    facilitator = world.settings.facilitator
    asked = offers(facilitator, sats)
    if facilitator is None or given.accepted not in asked:
        raise NoPayment("this was not offered, or not for this price")
    question = {"x402Version": VERSION, "paymentPayload": given.document, "paymentRequirements": asked[0]}
    verified = await _asked(facilitator, "verify", question)
    if verified.get("isValid") is not True:
        raise NoPayment(f"the facilitator says no: {_word(verified.get('invalidReason'))}")
    done = await _asked(facilitator, "settle", question)
    if done.get("success") is not True or not isinstance(done.get("transaction"), str) or not done["transaction"]:
        raise NoPayment(f"the facilitator could not settle it: {_word(done.get('errorReason'))}")
    transaction, payer = done["transaction"][:200], done.get("payer")
    if not await first_use(world.pool, "x402", facilitator.network, transaction, now, now + KEPT):
        raise NoPayment("the payment was used before")
    return Settled(transaction, facilitator.network, payer if isinstance(payer, str) else None)


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

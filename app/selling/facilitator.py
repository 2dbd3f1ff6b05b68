"""Stablecoins over x402, only through the facilitator that the operator set: it checks and settles, we hold no keys (x402 v2 §7)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import httpx2
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from app import asking
from app.limits import Rate, hit
from app.protocol.errors import TemporarilyUnavailable
from app.protocol.offer import BadPayment, NoPayment, canonical
from app.protocol.x402 import VERSION, Chosen
from app.selling.settlements import store
from app.selling.settlements.model import Intent, Settled
from app.settings.paid import Facilitator
from app.world import World

SECONDS = 30.0
QUESTIONS = Rate(
    "facilitator", 60, timedelta(minutes=1)
)  # whoever makes payments up has it asked, and it may have limits for us
LEASE = timedelta(seconds=40)  # longer than we wait: then whoever asked has heard, or died
# Refusals after which it may be on the chain nevertheless; so may one that names a transaction (x402 v2 §9).
UNSURE = ("pending", "unexpected", "time", "transaction_failed", "transaction_state", "duplicate")
PENDING = "settlement_pending"  # asked once more at once, as x402's own servers do
log = structlog.get_logger("gatehouse.selling")


class _Unheard(Exception):
    """The facilitator was asked, or may have been, and what it did is not known."""


class _Unasked(Exception):
    """It could not be reached."""


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


async def settle(world: World, given: Chosen, sats: int, subject: str) -> Settled:
    """Checked, written down and settled before anything is given; `take` follows. The same payment once more is good for the
    same `subject` as long as nothing was given for it, and is settled again only where nobody heard whether it was.
    Raises NoPayment, TemporarilyUnavailable, TooManyRequests."""
    facilitator = world.settings.facilitator
    if facilitator is None:
        raise NoPayment("this was not offered, or not for this price")
    fingerprint = hashlib.sha256(canonical([given.accepted, given.payload])).digest()
    question = {"x402Version": VERSION, "paymentPayload": given.document, "paymentRequirements": given.accepted}
    is_offered, known = given.accepted in offers(facilitator, sats), await store.one(world.pool, fingerprint)
    if known is None:
        if not is_offered:
            raise NoPayment("this was not offered, or not for this price")
        await hit(world.pool, QUESTIONS, asking.address() or "unknown", world.now())
        return await _first(world, facilitator, question, fingerprint, sats, subject)
    if known["subject"] != subject or (known["sats"] != sats if known["sats"] else not is_offered):
        raise NoPayment("the payment is for something else")
    if known["voided_at"] is not None:
        raise NoPayment("the operator of this server found that this payment was not made")
    if known["claimed_by"] not in (None, store.UNSETTLED):
        raise NoPayment("the payment was used before")
    if known["transaction"] is not None:
        return Settled(fingerprint, known["transaction"], known["network"], known["payer"])
    await hit(world.pool, QUESTIONS, asking.address() or "unknown", world.now())
    return await _again(world, facilitator, question, fingerprint, known["asked_until"])


async def _first(
    world: World, facilitator: Facilitator, question: dict[str, Any], fingerprint: bytes, sats: int, subject: str
) -> Settled:
    try:
        verified = await _asked(facilitator, "verify", question)
    except (_Unheard, _Unasked) as fault:
        raise _away() from fault
    if verified.get("isValid") is not True:
        if await store.one(world.pool, fingerprint) is not None:
            raise _busy()  # it was settled meanwhile, for another request
        raise NoPayment(f"the facilitator says no: {_word(verified.get('invalidReason'))}")
    accepted, now = question["paymentRequirements"], world.now()
    payer = _name(verified.get("payer"))
    intent = Intent(fingerprint, facilitator.network, facilitator.asset, accepted["amount"], payer, subject, sats)
    if not await store.begin(world.pool, intent, now, now + LEASE):
        raise _busy()
    try:
        done = await _settled(facilitator, question)
    except _Unasked as fault:
        await store.forget(world.pool, fingerprint)
        raise _away() from fault
    settled = _of(done, fingerprint, facilitator, payer)
    if settled is not None:
        return await _completed(world, settled, is_first=True)
    if _may_have_been(done):
        await store.release(world.pool, fingerprint, _words(done))
        raise _not_known_yet(timedelta(seconds=5))
    await store.forget(world.pool, fingerprint)
    raise NoPayment(f"the facilitator could not settle it: {_word(done.get('errorReason'))}")


async def _again(
    world: World, facilitator: Facilitator, question: dict[str, Any], fingerprint: bytes, asked_until: datetime | None
) -> Settled:
    """Where we died, or the facilitator was not heard. It says the same again, or refuses what is on the chain already; so does
    it what the payer has taken back meanwhile (EIP-3009 `cancelAuthorization`): a refusal is never taken for a payment."""
    now = world.now()
    if not await store.lease(world.pool, fingerprint, now, now + LEASE):
        raise _busy(LEASE if asked_until is None else asked_until - now)
    try:
        done = await _settled(facilitator, question)
    except _Unasked as fault:
        await store.release(world.pool, fingerprint, None)
        raise _away() from fault
    settled = _of(done, fingerprint, facilitator, None)
    if settled is not None:
        return await _completed(world, settled, is_first=False)
    async with world.db.begin() as db:
        await store.refused_again(db, fingerprint, _words(done), world.now())
    raise TemporarilyUnavailable(
        "whether this payment was made is not known, and the operator of this server has to decide it; "
        "do not pay again, keep it, and tell them the request id",
        retry_after=600,
    )


async def _completed(world: World, settled: Settled, *, is_first: bool) -> Settled:
    """Unless the transaction was good for another payment, or somebody else was quicker with the same."""
    if await store.complete(world.pool, settled, world.now()):
        return settled
    known = await store.one(world.pool, settled.fingerprint)
    if known is None or known["transaction"] != settled.transaction or known["claimed_by"] is not None:
        if is_first:
            await store.forget(world.pool, settled.fingerprint)
        else:
            await store.release(world.pool, settled.fingerprint, f"another payment's {settled.transaction}")
        raise NoPayment("the payment was used before")
    return settled


async def take(db: AsyncConnection, settled: Settled, by: str, now: datetime) -> bool:
    """True for the one who comes first, in the transaction that gives what it bought."""
    return await store.claim(db, settled, by, now)


async def give_back(world: World, settled: Settled, by: str) -> None:
    """What was paid for failed: the same payment, which nobody can give back on its chain, is good once more."""
    await store.unclaim(world.pool, settled.fingerprint, by)


async def _settled(facilitator: Facilitator, question: dict[str, Any]) -> dict[str, Any]:
    """Within SECONDS. Raises _Unasked; TemporarilyUnavailable when nobody knows what it did: the lease keeps others away."""
    try:
        async with asyncio.timeout(SECONDS):
            done = await _asked(facilitator, "settle", question)
            if done.get("success") is False and done.get("errorReason") == PENDING:
                done = await _asked(facilitator, "settle", question, was_asked=True)
    except (TimeoutError, _Unheard) as fault:
        raise _not_known_yet(LEASE) from fault
    if not isinstance(done.get("success"), bool):
        raise _not_known_yet(LEASE)
    return done


async def _asked(
    facilitator: Facilitator, what: str, question: dict[str, Any], *, was_asked: bool = False
) -> dict[str, Any]:
    url = f"{str(facilitator.url).rstrip('/')}/{what}"
    try:
        body = json.dumps(question, allow_nan=False)  # of a payer's making: in ASCII, whatever is in it
    except ValueError as fault:
        raise BadPayment("the payment has numbers that JSON does not have") from fault
    try:
        async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False, follow_redirects=False) as client:
            response = await client.post(url, content=body, headers={"Content-Type": "application/json"})
        answer = response.json()
    except (httpx2.HTTPError, ValueError, OSError) as fault:
        log.warning("facilitator away", what=what, error=type(fault).__name__)
        unasked = isinstance(fault, (httpx2.ConnectError, httpx2.ConnectTimeout)) and not was_asked
        raise (_Unasked if unasked else _Unheard) from fault
    if response.status_code >= 500 or not isinstance(answer, dict):
        log.warning("facilitator away", what=what, status=response.status_code)
        raise _Unheard
    return answer


def _of(done: dict[str, Any], fingerprint: bytes, facilitator: Facilitator, payer: str | None) -> Settled | None:
    transaction = _name(done.get("transaction"))
    if done["success"] is not True or not transaction:
        return None
    return Settled(fingerprint, transaction, facilitator.network, _name(done.get("payer")) or payer)


def _may_have_been(done: dict[str, Any]) -> bool:
    """Whether this refusal leaves it open."""
    reason = _word(done.get("errorReason")).lower()
    return done["success"] is True or bool(done.get("transaction")) or any(word in reason for word in UNSURE)


def _away() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the facilitator does not answer; try again", retry_after=5)


def _busy(wait: timedelta = LEASE) -> TemporarilyUnavailable:
    seconds = max(1, ceil(wait.total_seconds()))
    return TemporarilyUnavailable("this payment is being settled; send it again, do not pay again", retry_after=seconds)


def _not_known_yet(wait: timedelta) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "the facilitator has not said whether this payment is settled; send the same payment again, do not pay again",
        retry_after=int(wait.total_seconds()),
    )


def _words(done: dict[str, Any]) -> str:
    """For the operator, who looks at the chain."""
    return " ".join(part for part in (_word(done.get("errorReason")), _name(done.get("transaction"))) if part)


def _word(reason: object) -> str:
    return _name(reason, 80) or "no reason given"


def _name(text: object, most: int = 200) -> str | None:
    """What others say, in characters that can be stored."""
    plain = (
        "".join(c for c in text if c.isprintable() and not "\ud800" <= c <= "\udfff") if isinstance(text, str) else ""
    )
    return plain[:most] or None

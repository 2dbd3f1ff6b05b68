"""An invoice is offered, looked after until it is paid, and claimed once: the three steps of every sale for sats."""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import is_unavailable
from app.lightning.bolt11 import BadInvoice, checked
from app.lightning.node import Node, NodeFault
from app.payments import store
from app.payments.model import Quote
from app.protocol.agent_errors import LightningOff, NodeAway
from app.world import World

LIFETIME = timedelta(minutes=10)
LATE = timedelta(minutes=1)  # a payment of the last second may still be on its way when the invoice has expired
ASK_EVERY = timedelta(seconds=1)
ASK_SECONDS = 8.0
LOOK_SECONDS, AT_ONCE = 3.0, 20
HASH = re.compile(r"[0-9a-f]{64}")

log = structlog.get_logger("gatehouse.payments")


async def quote(
    world: World,
    sats: int,
    purpose: str,
    subject: str,
    now: datetime,
    *,
    memo: str,
    commitment: str | None = None,
) -> Quote:
    """A new invoice of the node, decoded and checked before it is offered, and its row. Raises LightningOff where no node is
    configured, NodeAway when it does not answer, or answers with an invoice that is not what was asked for."""
    assert sats > 0
    quote_id = str(uuid.uuid4())
    bolt11, payment_hash = await _invoice(world, sats, memo, quote_id, now)
    what = (quote_id, payment_hash, bolt11, sats, purpose, subject, commitment)
    offered = await store.add(world.pool, *what, now, now + LIFETIME)
    if offered is None:
        raise _away(BadInvoice("the node gave the same invoice twice"))
    return offered


async def _invoice(world: World, sats: int, memo: str, reference: str, now: datetime) -> tuple[str, str]:
    """A bolt11 that is what was asked for, and its payment hash."""
    node, seconds = world.lightning, round(LIFETIME.total_seconds())
    if node is None:
        raise LightningOff("this server takes no Lightning payments")
    try:
        async with asyncio.timeout(ASK_SECONDS):
            bolt11 = await node.invoice(sats, memo, seconds, reference)
        return bolt11, checked(bolt11, sats, node.network, round(now.timestamp()) + seconds).payment_hash
    except (NodeFault, BadInvoice, TimeoutError) as fault:
        raise _away(fault) from fault


def _away(fault: Exception) -> NodeAway:
    log.warning("lightning node", fault=str(fault) or type(fault).__name__)
    return NodeAway(
        "the Lightning node of this server does not answer as it should; try again in a moment", retry_after=5
    )


async def by_hash(world: World, payment_hash: str) -> Quote | None:
    """`payment_hash` is 64 hex digits; anything else is nobody's."""
    return await store.by_hash(world.pool, bytes.fromhex(payment_hash)) if HASH.fullmatch(payment_hash) else None


async def by_id(world: World, quote_id: str) -> Quote | None:
    return await store.by_id(world.pool, quote_id)


async def settled(world: World, payment_hash: str, now: datetime) -> bool:
    """Whether it was paid: known, or asked of the node, at most once a second for each invoice, and remembered.

    Paid means that the node says so and the preimage it shows fits. False for a hash that is not ours, and when the node is
    away: then it is asked again later, and what was paid meanwhile is found then.
    """
    known = await by_hash(world, payment_hash)
    if known is None or known.settled_at is not None:
        return known is not None
    raw = bytes.fromhex(payment_hash)
    expires_at = await store.may_ask(world.pool, raw, now, ASK_EVERY)
    return expires_at is not None and await _asked(world, raw, expires_at, now)


async def _asked(world: World, payment_hash: bytes, expires_at: datetime, now: datetime) -> bool:
    node: Node | None = world.lightning
    if node is None:
        return False
    try:
        async with asyncio.timeout(ASK_SECONDS):
            preimage = await node.settled(payment_hash.hex())
    except (NodeFault, TimeoutError) as fault:
        log.warning("lightning node", fault=str(fault) or type(fault).__name__)
        return False
    if preimage is None:
        if now > expires_at + LATE:
            await store.is_closed(world.pool, payment_hash, now)
        return False
    if hashlib.sha256(preimage).digest() != payment_hash:
        log.error("the Lightning node says paid, with a preimage that does not fit", payment_hash=payment_hash.hex())
        return False
    await store.is_settled(world.pool, payment_hash, now)
    return True


async def claim(
    db: AsyncConnection,
    payment_hash: str,
    claimed_by: str,
    now: datetime,
    *,
    purpose: str,
    subject: str | None = None,
    preimage: str | None = None,
    commitment: str | None = None,
) -> Quote | None:
    """The one winner gets the quote, in one statement, in the transaction that gives what it bought; None for everybody else:
    not ours, not paid, claimed before, for another purpose or subject, by somebody who does not fulfil its commitment, or
    with a preimage (64 hex digits, where the payer brings one) that does not fit.

    Call `settled` before, outside of the transaction: it may have to ask the node.
    """
    if not HASH.fullmatch(payment_hash):
        return None
    raw = bytes.fromhex(payment_hash)
    if preimage is not None and not fits(preimage, payment_hash):
        return None
    return await store.claim(db, raw, claimed_by, now, purpose=purpose, subject=subject, commitment=commitment)


def fits(preimage: str, payment_hash: str) -> bool:
    """Whether these are 64 hex digits, and their SHA-256 is the hash."""
    lower = preimage.lower()
    return HASH.fullmatch(lower) is not None and hashlib.sha256(bytes.fromhex(lower)).hexdigest() == payment_hash


async def look(world: World, now: datetime) -> int:
    """Asks the node about invoices that nobody has asked for lately: what was paid while nobody looked, or while this server
    was down. How many were settled."""
    if world.lightning is None:
        return 0
    due = await store.due(world.pool, now, AT_ONCE)
    answers = await asyncio.gather(*(_asked(world, raw, expires_at, now) for raw, expires_at in due))
    return sum(answers)


async def keep_looking(world: World) -> None:
    """Runs until cancelled."""
    while world.lightning is not None:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await look(world, world.now())
        except Exception as fault:
            if not is_unavailable(fault):
                log.error("looking after payments failed", exc_info=fault)

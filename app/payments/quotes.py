"""An invoice is offered, looked after until it is paid, and claimed once: the three steps of every sale for sats."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.payments.model import Quote
from app.world import World

LIFETIME = timedelta(minutes=10)


async def quote(
    world: World,
    sats: int,
    purpose: str,
    subject: str,
    now: datetime,
    *,
    memo: str,
    commitment: str | None = None,
    detail: Mapping[str, Any] | None = None,
    lifetime: timedelta = LIFETIME,
) -> Quote:
    """A new invoice of the node, decoded and checked before it is offered, and its row. Raises LightningOff where no node is
    configured, NodeAway when it does not answer, or answers with an invoice that is not what was asked for."""
    raise NotImplementedError


async def by_hash(world: World, payment_hash: str) -> Quote | None:
    """`payment_hash` is 64 hex digits; anything else is nobody's."""
    raise NotImplementedError


async def by_id(world: World, quote_id: str) -> Quote | None:
    raise NotImplementedError


async def settled(world: World, payment_hash: str, now: datetime) -> bool:
    """Whether it was paid: known, or asked of the node, at most once a second for each invoice, and remembered.

    Paid means that the node says so and the preimage it shows fits. False for a hash that is not ours, and when the node is
    away: then it is asked again later, and what was paid meanwhile is found then.
    """
    raise NotImplementedError


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
    raise NotImplementedError

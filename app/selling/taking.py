"""A proof of payment is looked at, and what it paid for is given once: at a tool, or as a token with a budget."""

from __future__ import annotations

import asyncio
from datetime import datetime

from app.payments.model import Quote
from app.payments.quotes import by_hash, claim, settled
from app.protocol.errors import TemporarilyUnavailable
from app.protocol.l402 import capability
from app.protocol.offer import NoPayment, Proof
from app.selling import store
from app.selling.offers import CALL, TOKEN, subject_of, usable_until
from app.world import World

PATIENCE = 2  # further looks, a second apart


async def checked(world: World, proof: Proof, service: str, now: datetime) -> Quote:
    """The quote that this proof pays for, claimed or not. Raises NoPayment; TemporarilyUnavailable when the payer has the
    preimage and the node has not said yet that it was paid: a new invoice would be paid for nothing."""
    found = await by_hash(world, proof.payment_hash.hex())
    if found is None or found.purpose not in (CALL, TOKEN):
        raise NoPayment("nothing was offered here for this invoice")
    if proof.service not in (None, service):
        raise NoPayment("the payment is for another service")
    if now >= min(usable_until(found), proof.until or usable_until(found)):
        raise NoPayment("the payment was not used in time")
    if found.settled_at is None and not await _settled(world, found.payment_hash):
        if proof.preimage is not None:
            raise TemporarilyUnavailable("the node has not confirmed the payment yet; do not pay again", retry_after=2)
        raise NoPayment("the invoice is not paid yet")
    return found


async def _settled(world: World, payment_hash: str) -> bool:
    """Asked a few times, since the node is asked once a second, and whoever has just paid is here before its news are."""
    for _ in range(PATIENCE):
        if await settled(world, payment_hash, world.now()):
            return True
        await asyncio.sleep(1.05)
    return await settled(world, payment_hash, world.now())


async def take_call(
    world: World, proof: Proof, resource: str, service: str, tool: str, by: str, now: datetime
) -> Quote:
    """One call of this tool, for the first who comes with this payment. Raises as `checked`."""
    found = await checked(world, proof, service, now)
    if found.subject != subject_of(resource, tool):
        raise NoPayment("the payment is for something else")
    if proof.tools is not None and capability(tool) not in proof.tools:
        raise NoPayment("the macaroon is not good for this tool")
    async with world.db.begin() as db:
        taken = await claim(
            db, found.payment_hash, by, now, purpose=CALL, subject=found.subject, preimage=_hex(proof.preimage)
        )
    if taken is None:
        raise NoPayment("the payment was used before")
    return taken


async def give_back(world: World, payment_hash: str, by: str) -> None:
    """What was paid for failed: the same payment is good once more."""
    await store.unclaim(world.pool, payment_hash, by)


def _hex(preimage: bytes | None) -> str | None:
    return None if preimage is None else preimage.hex()

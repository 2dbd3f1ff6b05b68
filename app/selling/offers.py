"""One invoice for what somebody wants and has not paid: bound to the resource and the tool, or to a token with a budget."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from app.agents.sessions import PAID_LIFE
from app.limits import Rate, hit
from app.payments.model import Quote
from app.payments.quotes import quote
from app.protocol.offer import Offer, network_of
from app.protocol.paying import Counter
from app.selling import facilitator
from app.world import World

CALL, TOKEN = "call", "token"  # what is sold here, in `payments.purpose`
USABLE = {CALL: timedelta(days=1), TOKEN: PAID_LIFE}  # what was paid is not lost because its payer was slow
OFFERS = Rate("offers", 30, timedelta(minutes=1))  # each writes to the operator's node
MOST_SATS = 1_000_000


def counter(world: World, sats: int) -> Counter:
    """Where an offer of so many sats is made and its payment taken."""
    accepts = facilitator.offers(world.settings.facilitator, sats)
    return Counter(world.secrets.payments.keys, world.settings.issuer, accepts)


async def offered(
    world: World, sats: int, resource: str, service: str, tool: str | None, who: str, now: datetime
) -> Offer:
    """A new offer. `who` is whose offers are counted. Raises TooManyRequests, LightningOff, NodeAway."""
    await hit(world.pool, OFFERS, who, now)
    purpose = TOKEN if tool is None else CALL
    memo = f"{tool or 'budget'} at {world.settings.issuer}"
    bought = await quote(world, sats, purpose, subject_of(resource, tool), now, memo=memo)
    return offer_of(bought, resource, service, tool)


def offer_of(bought: Quote, resource: str, service: str, tool: str | None) -> Offer:
    return Offer(
        payment_hash=bytes.fromhex(bought.payment_hash),
        invoice=bought.bolt11,
        sats=bought.sats,
        network=network_of(bought.bolt11),
        resource=resource,
        service=service,
        tool=tool,
        expires_at=bought.expires_at,
        usable_until=usable_until(bought),
    )


def usable_until(bought: Quote) -> datetime:
    return bought.created_at + USABLE[bought.purpose]


def subject_of(resource: str, tool: str | None) -> str:
    """What an invoice is for; a claim for anything else gets nothing."""
    return resource if tool is None else f"{resource} {tool}"


def token_id() -> bytes:
    return secrets.token_bytes(32)

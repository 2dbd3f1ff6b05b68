"""A call that is paid: what happens when its tool has worked, and when it has not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.metering.charging import release, settle
from app.metering.model import Charge
from app.payments.model import Quote
from app.protocol.offer import Proof
from app.protocol.types import Principal
from app.selling import facilitator, receipts
from app.selling.receipts import Receipt
from app.selling.settlements.model import Settled
from app.selling.taking import give_back
from app.world import World

COST = "gatehouse/sats"  # in the `_meta` of a result: what a call with `metered = true` really cost


@dataclass(frozen=True, slots=True)
class Passage:
    """`worked` takes the `_meta` of the tool's result, and gives the receipt; `undo` gives the payment back. One of them, once.
    `payer` is who calls, also without an account."""

    payer: Principal
    worked: Callable[[Mapping[str, Any]], Awaitable[Receipt]]
    undo: Callable[[], Awaitable[object]]


def by_proof(
    world: World, payer: Principal, proof: Proof, bought: Quote, by: str, claims: dict[str, Any], now: datetime
) -> Passage:
    async def worked(meta: Mapping[str, Any]) -> Receipt:
        return receipts.for_proof(world, proof, bought.bolt11, claims, now)

    return Passage(payer, worked, _undo(world, payer, lambda: give_back(world, bought.payment_hash, by)))


def by_coins(
    world: World, payer: Principal, settled: Settled, by: str, claims: dict[str, Any], now: datetime
) -> Passage:
    async def worked(meta: Mapping[str, Any]) -> Receipt:
        return receipts.for_settled(world, settled, claims, now)

    return Passage(payer, worked, _undo(world, payer, lambda: facilitator.give_back(world, settled, by)))


def by_budget(world: World, payer: Principal, charge: Charge, claims: dict[str, Any], now: datetime) -> Passage:
    """What was only reserved is settled for what the tool says that it cost; for all of it, when it says nothing."""

    async def worked(meta: Mapping[str, Any]) -> Receipt:
        sats, left = charge.sats, charge.remaining_sats
        if charge.state == "reserved":
            said = meta.get(COST)
            cost = said if isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= sats else sats
            settled = await settle(world.pool, charge.budget_id, charge.key, cost)
            sats, left = (settled.sats, settled.remaining_sats) if settled else (sats, left)
        return receipts.for_charge(world, {**claims, "sats": sats, "remainingSats": left}, now)

    return Passage(payer, worked, _undo(world, payer, lambda: release(world.pool, charge.budget_id, charge.key)))


def _undo(world: World, payer: Principal, undo: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    """Not for whoever cut the call off by ending the token that it came with: its tool had begun."""

    async def undone() -> object:
        return None if world.live.revocations.covers(payer) else await undo()

    return undone

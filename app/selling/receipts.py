"""What a payer is told of what they paid: in the words of each dialect, and signed with the published keys (RFC 7515, MPP, x402)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.metering.spent.model import Entry
from app.protocol import mpp, x402
from app.protocol.offer import Proof, b64url, canonical, network_of
from app.selling.settlements.model import Settled
from app.tokens.issue import receipt
from app.world import World

SIGNED, SIGNED_HEADER = "gatehouse/receipt", "Gatehouse-Receipt"


@dataclass(frozen=True, slots=True)
class Receipt:
    """`meta` for the result of a tool, `headers` for the answer that carries it."""

    meta: dict[str, Any]
    headers: tuple[tuple[str, str], ...]


def for_proof(world: World, proof: Proof, invoice: str, claims: dict[str, Any], now: datetime) -> Receipt:
    """`claims` say what was bought, by whom, for how much. The preimage is never among them."""
    said = mpp.receipt(proof, now)
    signed = _signed(world, {**claims, "paymentHash": proof.payment_hash.hex()}, now)
    meta: dict[str, Any] = {SIGNED: signed, mpp.RECEIPT: said}
    headers = [(SIGNED_HEADER, signed), ("Payment-Receipt", b64url(canonical(said)))]
    if proof.dialect == "x402":
        response = x402.response(x402.CHAINS[network_of(invoice)], invoice)
        meta[x402.RESPONSE] = response
        headers.append((x402.RESPONSE_HEADER, x402.header(response)))
    return Receipt(meta, tuple(headers))


def for_settled(world: World, settled: Settled, claims: dict[str, Any], now: datetime) -> Receipt:
    response = x402.response(settled.network, settled.transaction, settled.payer)
    signed = _signed(world, {**claims, "transaction": settled.transaction, "network": settled.network}, now)
    meta = {SIGNED: signed, x402.RESPONSE: response}
    return Receipt(meta, ((SIGNED_HEADER, signed), (x402.RESPONSE_HEADER, x402.header(response))))


def for_charge(world: World, claims: dict[str, Any], now: datetime) -> Receipt:
    """Taken from a budget."""
    signed = _signed(world, claims, now)
    return Receipt({SIGNED: signed}, ((SIGNED_HEADER, signed),))


def of_charge(world: World, entry: Entry, subject: str, now: datetime) -> str:
    """Of what the ledger has. `chargedAt` is in seconds since 1970; `iat` is now."""
    claims: dict[str, Any] = {"sub": subject, "budget": entry.budget_id, "charge": entry.id, "tool": entry.tool or ""}
    claims |= {"sats": entry.sats, "remainingSats": entry.remaining_sats, "chargedAt": int(entry.at.timestamp())}
    return _signed(world, claims, now)


def _signed(world: World, claims: dict[str, Any], now: datetime) -> str:
    return receipt(claims, world.live.ring, world.settings.issuer, now=now)

"""A payment that a facilitator is asked to settle, before and after it has answered: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

UNKNOWN = "unknown"
STATES = ("under_way", UNKNOWN, "settled", "given", "void")


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written down before the facilitator is asked to settle. `fingerprint` is that of what the payer sent, `subject`
    what it is for, `amount` in the asset's smallest unit; `payer` is who the facilitator said that pays."""

    fingerprint: bytes
    network: str
    asset: str
    amount: str
    payer: str | None
    subject: str
    sats: int


@dataclass(frozen=True, slots=True)
class Settled:
    """A payment that is on its chain; told to its payer in PAYMENT-RESPONSE. `fingerprint` is that of what the payer sent."""

    fingerprint: bytes
    transaction: str
    network: str
    payer: str | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """For the operator. `id` is the fingerprint in hex.

    `state`: under_way, while the facilitator is being asked; unknown, when it has not said, or said at a second asking that it
    would not, which may be because it had (`said` are its words); settled, when nothing was given for it yet; given; void, when
    the operator found that nothing was paid.
    """

    id: str
    state: str
    started_at: datetime
    settled_at: datetime | None
    subject: str
    sats: int | None
    network: str
    asset: str | None
    amount: str | None
    payer: str | None
    transaction: str | None
    bought: str | None
    said: str | None

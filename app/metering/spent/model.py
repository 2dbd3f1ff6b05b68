"""A line of the books, and one entry of the ledger as its owner sees it: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

NUMBERS = (
    "sats_in",
    "calls",
    "sats_spent",
    "refunds",
    "sats_refunded",
    "denied_budget_exceeded",
    "denied_rate_limited",
    "denied_idempotency_mismatch",
    "denied_session_ended",
)


@dataclass(frozen=True, slots=True)
class Line:
    """Sums of a day, of who spent, and of a tool; what it is not split by is absent. `project` is a project's id, or one of
    api_key, connection, demo, call and token (paid at a 402), call_coins and token_coins (the same in stablecoins), agent (of no
    project).

    `sats_in` came by Lightning, or are what stablecoins stood for; `sats_spent` were taken from budgets and stayed so,
    `sats_refunded` went back since the tool failed or cost less; `calls` are those that stayed charged, and those
    that were paid with the call itself.
    """

    day: date | None
    project: str | None
    name: str | None
    tool: str | None
    sats_in: int
    calls: int
    sats_spent: int
    refunds: int
    sats_refunded: int
    denied_budget_exceeded: int
    denied_rate_limited: int
    denied_idempotency_mismatch: int
    denied_session_ended: int

    @property
    def denied(self) -> int:
        return (
            self.denied_budget_exceeded
            + self.denied_rate_limited
            + self.denied_idempotency_mismatch
            + self.denied_session_ended
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One charge. `free_sats` of it came from the day's allowance. `name` is of the API key or the app."""

    id: int
    at: datetime
    budget_id: str
    name: str | None
    tool: str | None
    state: str
    sats: int
    free_sats: int
    returned_sats: int
    remaining_sats: int

"""What a budget is, what a charge came to, and why one was denied: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

AGENT, API_KEY, CONNECTION = "agent", "api_key", "connection"
MOST_SATS = 2_100_000_000_000_000  # that there can ever be
MOST_KEY = 200  # characters of an idempotency key

Reason = Literal["budget_exceeded", "rate_limited", "idempotency_mismatch", "session_ended", "no_budget"]
BUDGET_EXCEEDED: Reason = "budget_exceeded"  # the seed's word, as are the statuses "ok" and "deny"
RATE_LIMITED: Reason = "rate_limited"
KEY_REUSED: Reason = "idempotency_mismatch"  # the same key came with another request
ENDED: Reason = "session_ended"
NO_BUDGET: Reason = "no_budget"  # nobody gave this caller one


@dataclass(frozen=True, slots=True)
class Budget:
    """As it is at this moment. `allowance_sats` come back with each UTC day, `funded_sats` never do; `day_sats` and
    `day_calls` are since `day_start`; `max_calls_per_minute` None: as many as they like."""

    id: str
    kind: str
    allowance_sats: int
    funded_sats: int
    free_left: int
    day_sats: int
    day_calls: int
    day_start: datetime
    max_calls_per_minute: int | None
    expires_at: datetime | None
    ended_at: datetime | None
    user_id: str | None

    @property
    def remaining_sats(self) -> int:
        """What can be spent today: first what is left of the allowance, then what was paid for."""
        return self.free_left + self.funded_sats

    @property
    def max_sats_per_day(self) -> int:
        """The seed's number, so that `remaining = max - used` holds."""
        return self.day_sats + self.remaining_sats

    def is_live(self, now: datetime) -> bool:
        return self.ended_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Charge:
    """One entry of the ledger, with the numbers that the caller was told; `replayed`: an earlier one of the same key.
    `state`: charged, or reserved until it is settled or released."""

    budget_id: str
    key: str
    sats: int
    state: str
    calls_used: int
    sats_used: int
    remaining_sats: int
    at: datetime
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was taken. `retry_after` in seconds, where waiting helps."""

    reason: Reason
    calls_used: int = 0
    sats_used: int = 0
    remaining_sats: int = 0
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One charge, as `app.metering.charging.charge` has it."""

    budget_id: str
    key: str
    sats: int
    request_hash: bytes
    tool: str | None
    now: datetime
    reserved_until: datetime | None

"""Charging a budget: at once, or reserved and settled when the cost is known; given back when what was paid for failed."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from app.db.engine import HotPool
from app.metering import budgets, store
from app.metering.model import (
    BUDGET_EXCEEDED,
    ENDED,
    KEY_REUSED,
    MOST_KEY,
    MOST_SATS,
    NO_BUDGET,
    RATE_LIMITED,
    Asked,
    Budget,
    Charge,
    Denied,
    Reason,
)
from app.metering.till import Till

RESERVED = timedelta(minutes=10)  # what is not settled by then is charged as estimated


def request_hash(tool: str | None, arguments: object, sats: int) -> bytes:
    """What makes two requests the same: a key that comes again with another is refused."""
    canonical = json.dumps([tool, arguments, sats], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).digest()


async def charge(
    till: Till, budget_id: str, sats: int, key: str, request: bytes, now: datetime, *, tool: str | None = None
) -> Charge | Denied:
    """Takes `sats` and counts a call, or takes nothing; one SQL statement, or part of one.

    The same `key` again is not charged again: the same answer, `replayed`, for the same `request` (`request_hash`), and a
    denial for another. `sats` may be 0: then only the call counts.
    """
    return await _charged(till, budget_id, sats, key, request, tool, now, None)


async def reserve(
    till: Till,
    budget_id: str,
    sats: int,
    key: str,
    request: bytes,
    now: datetime,
    *,
    tool: str | None = None,
    lasting: timedelta = RESERVED,
) -> Charge | Denied:
    """As `charge`, for the most that it may cost: to be settled or released, or charged in full when `lasting` is over."""
    return await _charged(till, budget_id, sats, key, request, tool, now, now + lasting)


async def settle(pool: HotPool, budget_id: str, key: str, sats: int) -> Charge | None:
    """What was reserved under `key` cost this much, and never more than was reserved; the rest goes back. Settled twice, it
    stays as it was first. None when nothing was reserved."""
    assert sats >= 0
    row = await store.give_back(pool, budget_id, key, sats, "charged", ["reserved"])
    row = row or await store.entry(pool, budget_id, key)
    return None if row is None else _entry(row, replayed=False)


async def release(pool: HotPool, budget_id: str, key: str) -> bool:
    """All of it goes back, since what it paid for failed; the key may be used again. False when there was nothing."""
    return await store.give_back(pool, budget_id, key, 0, "released", ["reserved", "charged"]) is not None


async def _charged(
    till: Till,
    budget_id: str,
    sats: int,
    key: str,
    request: bytes,
    tool: str | None,
    now: datetime,
    reserved_until: datetime | None,
) -> Charge | Denied:
    assert 0 <= sats <= MOST_SATS
    assert 0 < len(key) <= MOST_KEY
    row = await till.charge(Asked(budget_id, key, sats, request, tool, now, reserved_until))
    if row is not None:
        return _entry(row, replayed=False)
    earlier = await store.entry(till.pool, budget_id, key)
    if earlier is not None and earlier["request_hash"] == request:
        return _entry(earlier, replayed=True)
    found = await budgets.usage(till.pool, budget_id, now)
    return Denied(NO_BUDGET) if found is None else _denied(found, sats, now, key_reused=earlier is not None)


def _denied(found: Budget, sats: int, now: datetime, *, key_reused: bool) -> Denied:
    reason: Reason = RATE_LIMITED
    wait = None
    if key_reused:
        reason = KEY_REUSED
    elif not found.is_live(now):
        reason = ENDED
    elif sats > found.remaining_sats:
        reason = BUDGET_EXCEEDED
    else:
        wait = max(1, 60 - now.second)
    return Denied(reason, found.day_calls, found.day_sats, found.remaining_sats, wait)


def _entry(row: Any, *, replayed: bool) -> Charge:
    return Charge(
        budget_id=row["budget_id"],
        key=row["key"],
        sats=row["sats"],
        state=row["state"],
        calls_used=row["calls_used"],
        sats_used=row["sats_used"],
        remaining_sats=row["remaining_sats"],
        at=row["at"],
        replayed=replayed,
    )

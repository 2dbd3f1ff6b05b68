"""How often one address or account may try something: fixed windows, counted in Postgres so that all replicas share them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app import audit
from app.db.engine import HotPool
from app.protocol.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `hits` in `window`."""

    name: str
    hits: int
    window: timedelta


LOGIN_ACCOUNT = Rate("login-account", 8, timedelta(minutes=5))  # per account and address (security.md: OWASP)
LOGIN_ADDRESS = Rate("login-address", 20, timedelta(minutes=5))
LOGIN_DEVICE = Rate("login-device", 8, timedelta(minutes=5))  # per account and device known to it
LOGIN_STRANGERS = Rate(
    "login-strangers", 5, timedelta(hours=1)
)  # per account, from devices not known to it; then slower
PASSKEY_ADDRESS = Rate("passkey-address", 30, timedelta(minutes=5))
SECOND_STEP = Rate("second-step", 8, timedelta(minutes=5))  # per account and address
SECOND_STEP_ADDRESS = Rate("second-step-address", 30, timedelta(minutes=5))
SECOND_STEP_ACCOUNT = Rate(
    "second-step-account", 15, timedelta(hours=6)
)  # of a million codes, three are right at a time
OWN_PASSWORD = Rate("own-password", 8, timedelta(minutes=5))  # per account, by somebody who is signed in
NEW_KEY = Rate("new-api-key", 30, timedelta(hours=1))  # per account
BAD_KEY = Rate("bad-api-key", 30, timedelta(minutes=1))
ONE_TIME_LINK = Rate("one-time-link", 20, timedelta(minutes=5))
MAIL_ADDRESS = Rate("mail-address", 10, timedelta(minutes=10))  # letters asked for from one place
MAIL_ACCOUNT = Rate("mail-account", 5, timedelta(hours=1))  # letters to one mailbox
NEW_DEVICE = Rate("new-device", 30, timedelta(minutes=1))
EXPORT = Rate("export", 6, timedelta(minutes=10))  # per account: everything about somebody is much to read
UPSTREAM = Rate("upstream", 300, timedelta(minutes=5))  # to services elsewhere and back, from one place: an office
DEVICE_ACCOUNT = Rate("device-account", 10, timedelta(minutes=5))  # RFC 8628 §5.1: of 20^8 codes
DEVICE_ADDRESS = Rate("device-address", 30, timedelta(minutes=5))

_reached = audit.noted(
    "limit.reached", "$2, NULL, NULL, jsonb_build_object('limit', $4::text)", "counted WHERE hits = $5 + 1", 6
)
HIT = f"""
WITH counted AS (
INSERT INTO rate_counters AS c (key, hits, resets_at) VALUES ($1, 1, $3)
ON CONFLICT (key) DO UPDATE SET
  hits = CASE WHEN c.resets_at <= $2 THEN 1 ELSE c.hits + 1 END,
  resets_at = CASE WHEN c.resets_at <= $2 THEN $3 ELSE c.resets_at END
RETURNING hits, resets_at
), noted AS ({_reached})
SELECT hits, resets_at FROM counted
"""


# Turns are `gap` apart, whoever comes; a turn further off than `patience` is not given.
TURN = """
INSERT INTO rate_counters AS c (key, hits, resets_at) VALUES ($1, 1, $2::timestamptz + $3::interval)
ON CONFLICT (key) DO UPDATE SET hits = c.hits + 1, resets_at = greatest(c.resets_at, $2) + $3
WHERE c.resets_at <= $2 + $4::interval
RETURNING resets_at - $3 AS at
"""


async def counted(pool: HotPool, rate: Rate, who: str, now: datetime) -> int:
    """Counts one attempt, and says how many there were in this window; past the limit too."""
    hits: int = (await _count(pool, rate, who, now))["hits"]
    return hits


async def _count(pool: HotPool, rate: Rate, who: str, now: datetime) -> Any:
    """The hits of this window and its end; that the limit is reached is recorded, once in the window."""
    values = (now, now + rate.window, rate.name, rate.hits, *audit.who())
    return await pool.fetchrow(HIT, f"{rate.name}:{who}", *values)


async def turn(pool: HotPool, rate: Rate, who: str, now: datetime, gap: timedelta, patience: timedelta) -> timedelta:
    """How long to wait for one's turn. Raises TooManyRequests when the line is too long."""
    row = await pool.fetchrow(TURN, f"{rate.name}-turn:{who}", now, gap, patience)
    if row is None:
        raise TooManyRequests(
            "too many attempts; wait before trying again", retry_after=round(patience.total_seconds())
        )
    wait: timedelta = row["at"] - now
    return max(wait, timedelta(0))


async def hit(pool: HotPool, rate: Rate, who: str, now: datetime) -> None:
    """Counts one attempt. Raises TooManyRequests, with the seconds to wait, past the limit."""
    row = await _count(pool, rate, who, now)
    if row["hits"] > rate.hits:
        wait = max(1, round((row["resets_at"] - now).total_seconds()))
        raise TooManyRequests("too many attempts; wait before trying again", retry_after=wait)


async def forgive(pool: HotPool, *counters: tuple[Rate, str]) -> None:
    """After a success, what was counted for it is forgotten."""
    keys = [f"{rate.name}:{who}" for rate, who in counters]
    await pool.execute("DELETE FROM rate_counters WHERE key = ANY($1)", keys)

"""How often one address or account may try something: fixed windows, counted in Postgres so that all replicas share them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

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
BAD_KEY = Rate("bad-api-key", 30, timedelta(minutes=1))
ONE_TIME_LINK = Rate("one-time-link", 20, timedelta(minutes=5))
NEW_DEVICE = Rate("new-device", 30, timedelta(minutes=1))
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


async def hit(pool: HotPool, rate: Rate, who: str, now: datetime) -> None:
    """Counts one attempt; that a limit is reached is recorded, once in its window. Raises TooManyRequests, with the
    seconds to wait, past the limit."""
    values = (now, now + rate.window, rate.name, rate.hits, *audit.who())
    row = await pool.fetchrow(HIT, f"{rate.name}:{who}", *values)
    if row["hits"] > rate.hits:
        wait = max(1, round((row["resets_at"] - now).total_seconds()))
        raise TooManyRequests("too many attempts; wait before trying again", retry_after=wait)


async def forgive(pool: HotPool, rate: Rate, who: str) -> None:
    """After a success, what was counted for it is forgotten."""
    await pool.execute("DELETE FROM rate_counters WHERE key = $1", f"{rate.name}:{who}")

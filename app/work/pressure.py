"""How hard the work is at this moment: by how fast challenges are asked for, never by what clients say of themselves.

Each process counts what it gives out in memory, since a challenge is to cost no row. Every two seconds in which it gives out any,
it adds the counts of whoever asked more than now and then to counters that all processes and replicas share, with one
statement, and learns from it what the others gave out. So a flood over many workers is as hard, two seconds later, as over one.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.db.engine import HotPool, is_unavailable
from app.work import store

MINUTE = 60.0
PROJECT_BUDGET = 60.0  # challenges a minute of one project before they become harder
ADDRESS_BUDGET = 10.0  # and of one address
REMEMBERED = 10_000
SHARED_EVERY = 2.0  # seconds
LEAST_SHARED, MOST_SHARED = 3, 1000  # challenges of one key, keys of one statement

log = structlog.get_logger("gatehouse.work")


@dataclass(slots=True)
class _Rate:
    """Challenges a minute, as of `moment`; `unshared` of them the others do not know of."""

    value: float
    moment: float
    unshared: int = 0


class Pressure:
    """Rates that fade by half each minute. One per process. `sharing` is what tells the others, while it does."""

    def __init__(self, pool: HotPool) -> None:
        self._pool = pool
        self._rates: dict[str, _Rate] = {}
        self._shared_at = 0.0
        self.sharing: asyncio.Task[None] | None = None

    def bits(self, project_id: str, address: str, floor: int, ceiling: int, now: datetime) -> int:
        """Counts one challenge, and says how many bits it has: one more for each doubling over the budget."""
        harder = max(
            self._over(f"p {project_id}", PROJECT_BUDGET, now.timestamp()),
            self._over(f"a {project_id} {address}", ADDRESS_BUDGET, now.timestamp()),
        )
        if abs(now.timestamp() - self._shared_at) >= SHARED_EVERY and (self.sharing is None or self.sharing.done()):
            self._shared_at = now.timestamp()
            self.sharing = asyncio.create_task(self.share(now))
        return min(ceiling, floor + harder)

    async def share(self, now: datetime) -> None:
        """Tells the others, and hears from them."""
        busy = ((rate.unshared, key) for key, rate in self._rates.items() if rate.unshared >= LEAST_SHARED)
        counts = {key: count for count, key in heapq.nlargest(MOST_SHARED, busy)}
        for key in counts:
            self._rates[key].unshared = 0
        try:
            for key, value in (await store.shared(self._pool, counts, now)).items() if counts else ():
                if key in self._rates:
                    mine = self._rates[key]
                    mine.value, mine.moment = value + mine.unshared, now.timestamp()
        except Exception as fault:
            if not is_unavailable(fault):
                log.error("rates of challenges not shared", exc_info=fault)

    def _over(self, key: str, budget: float, moment: float) -> int:
        rate = self._rates.pop(key, None) or _Rate(0.0, moment)
        rate.value = rate.value * 0.5 ** (max(0.0, moment - rate.moment) / MINUTE) + 1.0
        rate.moment, rate.unshared = moment, rate.unshared + 1
        if len(self._rates) >= REMEMBERED:
            del self._rates[next(iter(self._rates))]  # the one that has been quiet longest
        self._rates[key] = rate
        return max(0, math.ceil(math.log2(rate.value / budget)))

"""How hard the work is at this moment: by how fast challenges are asked for, never by what clients say of themselves.

Each process counts what it gives out itself, in memory, since a challenge is to cost no row.
"""

from __future__ import annotations

import math
from datetime import datetime

MINUTE = 60.0
PROJECT_BUDGET = 60.0  # challenges a minute of one project before they become harder
ADDRESS_BUDGET = 10.0  # and of one address
REMEMBERED = 10_000


class Pressure:
    """Rates that fade by half each minute."""

    def __init__(self) -> None:
        self._rates: dict[str, tuple[float, float]] = {}

    def bits(self, project_id: str, address: str, floor: int, ceiling: int, now: datetime) -> int:
        """Counts one challenge, and says how many bits it has: one more for each doubling over the budget."""
        harder = max(
            self._over(f"p {project_id}", PROJECT_BUDGET, now.timestamp()),
            self._over(f"a {project_id} {address}", ADDRESS_BUDGET, now.timestamp()),
        )
        return min(ceiling, floor + harder)

    def _over(self, key: str, budget: float, moment: float) -> int:
        rate, then = self._rates.pop(key, (0.0, moment))
        rate = rate * 0.5 ** (max(0.0, moment - then) / MINUTE) + 1.0
        if len(self._rates) >= REMEMBERED:
            del self._rates[next(iter(self._rates))]  # the one that has been quiet longest
        self._rates[key] = (rate, moment)
        return max(0, math.ceil(math.log2(rate / budget)))

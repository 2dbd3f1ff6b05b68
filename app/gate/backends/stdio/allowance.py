"""How much somebody may say: so much a second, and so much at once."""

from __future__ import annotations


class Allowance:
    """Times in seconds of any clock that goes forward."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = at_once
        self._at: float | None = None

    def charge(self, amount: float, now: float) -> float:
        """Takes it, though it may be too much; returns the seconds until there is something left again, 0 if there is now."""
        if self._at is not None:
            self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
        self._at = now
        self._left -= amount
        return max(0.0, -self._left / self._per_second)

    def takes(self, amount: float, now: float) -> bool:
        """Takes it if there is as much."""
        if self.charge(0, now) or self._left < amount:
            return False
        self._left -= amount
        return True

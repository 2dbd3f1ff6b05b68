"""The model: what a house should know of apps, codes, tokens and purses, in plain values, and the replicas that it is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jwt

from tests.actors import App, Browser
from tests.staged.conftest import Database
from tests.staged.replica import Replica

ALLOWANCE, FUNDED = 10, 15  # sats
OPEN_PURSE = """
INSERT INTO budgets (id, kind, user_id, allowance_sats, funded_sats, day, day_free_sats, day_sats, day_calls, last_free_sats,
  minute, minute_calls, created_at)
SELECT id, 'connection', user_id, $2, $3, '-infinity', 0, 0, 0, 0, '-infinity', 0, now() FROM connections WHERE id = $1
"""


@dataclass
class Connection:
    """A family: its refresh tokens in order, of which the last that was handed out is number `counter`."""

    app: App
    refresh_tokens: list[str]
    counter: int = 0
    refreshed_at: float = 0.0
    ended: bool = False
    purse: Purse | None = None


@dataclass
class Purse:
    """What a connection may spend: `ALLOWANCE` each UTC day, and first; `FUNDED` once. Its ledger by key."""

    name: str
    funded: int
    day: int = -1
    free_used: int = 0
    sats: int = 0
    calls: int = 0
    ledger: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    def charged(self, key: str, sats: int, day: int) -> dict[str, Any] | None:
        """The answer; None when the key came with another charge before."""
        if key in self.ledger:
            return self.ledger[key][1] if self.ledger[key][0] == sats else None
        used = self.free_used if day == self.day else 0
        free = min(sats, ALLOWANCE - used)
        if sats - free > self.funded:
            before = {"callsUsed": self.calls, "satsUsed": self.sats}
            now = before if day == self.day else {"callsUsed": 0, "satsUsed": 0}
            return {"status": "deny", **now, "reason": "budget_exceeded"}
        self.calls, self.sats = (self.calls + 1, self.sats + sats) if day == self.day else (1, sats)
        self.day, self.free_used, self.funded = day, used + free, self.funded - (sats - free)
        self.ledger[key] = sats, {"status": "ok", "callsUsed": self.calls, "satsUsed": self.sats}
        return self.ledger[key][1]


@dataclass
class Code:
    value: str
    app: App
    given_at: float
    connection: Connection | None = None


@dataclass
class Access:
    value: str
    connection: Connection
    issued_at: float
    void: bool = False


@dataclass
class Staged:
    """What every walk uses: two replicas whose clocks stand, a browser that is signed in."""

    shared: Database
    pair: list[Replica]
    browser: Browser
    seen: dict[str, int] = field(default_factory=dict)  # how often what was answered, so that no walk is idle

    @property
    def now(self) -> float:
        return float(self.pair[0].clock.value)

    def turn(self, seconds: float) -> None:
        for replica in self.pair:
            replica.clock.value += seconds
        for replica in self.pair:
            replica.catch_up()

    def saw(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1


def open_purse(shared: Database, access_token: str) -> Purse:
    """That of the connection which this token belongs to."""
    name = jwt.decode(access_token, options={"verify_signature": False})["connection"]
    shared.sql(OPEN_PURSE, name, ALLOWANCE, FUNDED)
    return Purse(name, FUNDED)

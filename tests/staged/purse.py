"""One budget that many charge at once, each with an idempotency key of its own; and its books: what was told beside what is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2

from app.db.engine import plain_url
from app.tokens.secrets import API_KEY, fingerprint, new_id, new_secret
from tests.staged.proofs import LONG_AGO
from tests.staged.replica import Replica

ALLOWANCE = 20  # sats, which the first charges use up
ANSWER_SECONDS = 20.0  # a server that died answers at once, by the end of the connection; a longer silence is a fault
DEAD = (httpx2.NetworkError, httpx2.RemoteProtocolError)
OPEN = """
WITH key AS (
INSERT INTO api_keys (id, user_id, name, fingerprint, scope, created_at)
SELECT $1, id, $1, $2, '{read}', now() FROM users LIMIT 1 RETURNING user_id
)
INSERT INTO budgets (id, kind, user_id, allowance_sats, funded_sats, day, day_free_sats, day_sats, day_calls, last_free_sats,
  minute, minute_calls, created_at)
SELECT $1, 'api_key', user_id, $3, $4, $5::timestamptz::date, 0, 0, 0, 0, $5, 0, now() FROM key
"""
ENTRY = """
INSERT INTO charges (budget_id, key, request_hash, sats, free_sats, state, calls_used, sats_used, remaining_sats, at)
VALUES ($1, $2, '', 0, 0, 'charged', 0, 0, 0, now())
"""
ENTRIES = "SELECT key, sats, free_sats, calls_used, sats_used FROM charges WHERE budget_id = $1 ORDER BY id"
BATCHES = "SELECT count(*) FROM charges WHERE budget_id = $1 GROUP BY xmin::text ORDER BY min(id)"
BLOCKED = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1
"""


def cost(number: int) -> int:
    """In sats, of this charge."""
    return 1 + number % 3


class Purse:
    """`told` is what was answered of each charge that was made, `denied` those for which there was not enough."""

    def __init__(self, dsn: str, db: asyncpg.Connection, http: httpx2.AsyncClient, funded: int) -> None:
        self._dsn, self.db, self._http, self._funded = dsn, db, http, funded
        self.name, self._key = new_id("key"), new_secret(API_KEY)
        self.told: dict[int, tuple[int, int]] = {}
        self.denied: set[int] = set()
        self.replayed: set[int] = set()
        self._others: list[asyncpg.Connection] = []

    async def open(self) -> None:
        await self.db.execute(OPEN, self.name, fingerprint(self._key), ALLOWANCE, self._funded, LONG_AGO)

    async def charge(self, replica: Replica, number: int, **headers: str) -> httpx2.Response | None:
        """None when the server died instead of an answer."""
        body = {"callCostSats": cost(number), "idempotencyKey": f"charge-{number}"}
        headers = {"Authorization": f"Bearer {self._key}", **headers}
        try:
            answer = await self._http.post(f"{replica.url}/api/mcp/charge", json=body, headers=headers)
        except DEAD:
            return None
        assert answer.status_code == 200, answer.text
        said = answer.json()
        if said["status"] == "deny":
            self.denied.add(number)
            return answer
        if "idempotency-replayed" in answer.headers:
            self.replayed.add(number)
        told = said["callsUsed"], said["satsUsed"]
        assert self.told.setdefault(number, told) == told, "two answers to one charge"
        return answer

    async def all_at_once(self, replica: Replica, numbers: Iterable[int]) -> None:
        await asyncio.gather(*(self.charge(replica, number) for number in numbers))

    async def waiting_at(self, replica: Replica, count: int) -> None:
        """Until so many charges are in the till there."""
        while (await self._http.get(f"{replica.url}/-stage/waiting")).text != str(count):
            pass

    async def blocked(self, words: str, count: int) -> list[int]:
        """The processes of Postgres in which such a statement waits for a lock, once there are so many."""
        while True:
            found = [row["pid"] for row in await self.db.fetch(BLOCKED, f"%{words}%")]
            if len(found) == count:
                return found

    async def held_back(self, number: int) -> asyncpg.Connection:
        """Whoever makes this charge waits until the connection is closed, as for somebody else who is making the same one."""
        other = await asyncpg.connect(plain_url(self._dsn))
        self._others.append(other)
        await other.execute("BEGIN")
        await other.execute(ENTRY, self.name, f"own:charge-{number}")
        return other

    async def over(self, pid: int) -> None:
        """Until this process of Postgres has ended."""
        while await self.db.fetchrow("SELECT FROM pg_stat_activity WHERE pid = $1", pid) is not None:
            pass

    def close(self) -> None:
        for connection in (self.db, *self._others):
            connection.terminate()

    async def batches(self) -> list[int]:
        """How many charges each statement made, one after the other."""
        return [row["count"] for row in await self.db.fetch(BATCHES, self.name)]

    async def left(self) -> int:
        """Of what was paid for, in sats; what the day gave is used up."""
        sats: int = await self.db.fetchval("SELECT funded_sats FROM budgets WHERE id = $1", self.name)
        return sats

    async def made(self) -> set[int]:
        """Which charges are in the database. Fails when the books are wrong in any way."""
        entries: list[Any] = await self.db.fetch(ENTRIES, self.name)
        numbers = [int(entry["key"].rpartition("-")[2]) for entry in entries]
        assert len(set(numbers)) == len(numbers), "charged twice"
        assert [entry["sats"] for entry in entries] == [cost(number) for number in numbers]
        spent, free = sum(entry["sats"] for entry in entries), sum(entry["free_sats"] for entry in entries)
        budget = await self.db.fetchrow("SELECT * FROM budgets WHERE id = $1", self.name)
        assert (budget["day_sats"], budget["day_calls"]) == (spent, len(entries)), "the budget knows of other charges"
        assert (budget["day_free_sats"], budget["funded_sats"]) == (free, self._funded - (spent - free))
        assert free == min(spent, ALLOWANCE), "what the day gives is taken first, and no more"
        assert budget["funded_sats"] >= 0
        ledger = sorted((entry["calls_used"], entry["sats_used"], entry["sats"]) for entry in entries)
        assert [calls for calls, *_ in ledger] == list(range(1, len(entries) + 1))
        for before, after in zip([(0, 0, 0), *ledger], ledger, strict=False):
            assert after[1] == before[1] + after[2], "each was told the truth"
        used = {
            number: (entry["calls_used"], entry["sats_used"]) for number, entry in zip(numbers, entries, strict=True)
        }
        for number, told in self.told.items():
            assert used.get(number) == told, "answered, and not in the database"
        return set(numbers)


@asynccontextmanager
async def purse(dsn: str, funded: int = 10_000) -> AsyncIterator[Purse]:
    """Nothing that is done with it may take longer than a minute."""
    limits, patience = httpx2.Limits(max_connections=None), httpx2.Timeout(ANSWER_SECONDS)
    async with (
        asyncio.timeout(60),
        httpx2.AsyncClient(limits=limits, timeout=patience, trust_env=False, verify=False) as http,
    ):
        opened = Purse(dsn, await asyncpg.connect(plain_url(dsn)), http, funded)
        try:
            await opened.open()
            yield opened
        finally:
            opened.close()

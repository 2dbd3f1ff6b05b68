"""`make races COUNT=1000000`: so many proofs, each presented to two replicas at the same moment; never do both win.

What is raced for is put into the database by SQL, a batch at a time; what came of it is asked of the answers and of the database.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from app.db.engine import plain_url
from tests.actors import DEVICE_CODE
from tests.commands import forks
from tests.conftest import EMPTIED, database
from tests.staged.deeds import NEVER
from tests.staged.kinds import CAME_OF_IT, KINDS, fault
from tests.staged.people import add_ada
from tests.staged.proofs import CALLBACK, CLIENT, Race
from tests.staged.replica import replicas

LANES, BATCH = 24, 4000
REPLICAS: dict[str, Any] = {
    "pool_size": 40,
    "trusted_proxies": (ip_network("127.0.0.1"),),
    "sign_up": "invited",
}
EVERY_SECONDS = 60.0


class Lane:
    """A connection to each replica, on which one race after the other is run."""

    def __init__(self) -> None:
        self._ends: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open(self, ports: list[int]) -> None:
        self._ends = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
        self._hosts = [f"localhost:{port}" for port in ports]

    async def run(self, race: Race) -> list[tuple[int, bytes]]:
        """What each replica answered: both requests are on their way before either answer is read."""
        for (_, writer), host in zip(self._ends, self._hosts, strict=True):
            head = f"POST {race.path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(race.body)}\r\n" + "".join(
                f"{name}: {value}\r\n" for name, value in race.headers.items()
            )
            writer.write(head.encode() + b"\r\n" + race.body)
        return [await self._answer(reader) for reader, _ in self._ends]

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r", 1)[0])
        return int(head[9:12]), await reader.readexactly(length)

    def close(self) -> None:
        for _, writer in self._ends:
            writer.close()


async def batch(lanes: list[Lane], races: list[Race], faults: list[str]) -> None:
    waiting = iter(races)

    async def along(lane: Lane) -> None:
        for race in waiting:
            found = fault(race, await lane.run(race))
            if found is not None:
                faults.append(found)

    await asyncio.gather(*(along(lane) for lane in lanes))


async def run(
    count: int, dsn: str, urls: list[str], tell: Callable[[Counter[str]], None] = lambda done: None
) -> tuple[Counter[str], list[str]]:
    """How many of each kind were run, and every fault. `tell` is told after each batch."""
    done, faults, lanes = Counter[str](), list[str](), [Lane() for _ in range(LANES)]
    db = await asyncpg.connect(plain_url(dsn))
    for lane in lanes:
        await lane.open([urlsplit(url).port or 0 for url in urls])
    while sum(done.values()) < count and not faults:
        races = await prepared(db, dsn, min(BATCH, count - sum(done.values())))
        await batch(lanes, races, faults)
        done.update(race.kind for race in races)
        faults += [what for what, query in NEVER.items() if await db.fetch(query)]
        faults += [found async for found in wrong(db, Counter(race.kind for race in races))]
        tell(done)
    for lane in lanes:
        lane.close()
    await db.close()
    return done, faults


async def wrong(db: asyncpg.Connection, kinds: Counter[str]) -> AsyncIterator[str]:
    """What the database says that may not be."""
    for what, query in NEVER.items():
        if await db.fetch(query):
            yield what
    for query, of in CAME_OF_IT.items():
        came, should = await db.fetchval(query), sum(kinds[kind] for kind in of)
        if came != should:
            yield f"{came} instead of {should}: {query}"


async def prepared(db: asyncpg.Connection, dsn: str, size: int) -> list[Race]:
    """In an empty database: of each kind its part, in no order, so that what waits for one lock does not wait alone."""
    await db.execute(EMPTIED)
    user_id = await add_ada(dsn)
    await db.execute(
        "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,"
        " metadata, created_at) VALUES ($1, 'static', 'Races', $2, $3, 'none', '{}', now())",
        CLIENT,
        [CALLBACK],
        ["authorization_code", "refresh_token", DEVICE_CODE],
    )
    parts = sum(KINDS.values())
    races = [race for kind, part in KINDS.items() for race in await kind(db, user_id, -(-size * part // parts))]
    random.shuffle(races)
    return races


def pair(number: int, count: int, told: Any) -> None:
    """A process: two replicas and a database of their own, and whoever races there."""

    def tell(done: Counter[str]) -> None:
        told.put((number, dict(done), None))

    with database() as dsn, replicas(dsn, 2, **REPLICAS) as both:
        done, faults = asyncio.run(run(count, dsn, [replica.url for replica in both], tell))
    told.put((number, dict(done), faults))


def main(count: int, pairs: int) -> int:
    """As many pairs at once; each minute it is said how far they are."""
    told, dones, faults = forks.Queue(), [Counter[str]() for _ in range(pairs)], list[str]()
    shares = [count // pairs + (number < count % pairs) for number in range(pairs)]
    running = {number: forks.Process(target=pair, args=(number, share, told)) for number, share in enumerate(shares)}
    began = said = time.monotonic()
    for process in running.values():
        process.start()
    while running:
        try:
            number, done, found = told.get(timeout=EVERY_SECONDS)
        except queue.Empty:
            gone = [number for number, process in running.items() if not process.is_alive()]
            faults += [f"pair {number} died" for number in gone if running.pop(number)]
            continue
        dones[number] = Counter(done)
        if found is not None:
            faults += found
            running.pop(number).join()
        if time.monotonic() - said > EVERY_SECONDS or not running:
            said, all_of_them = time.monotonic(), sum(dones, Counter[str]())
            rate = sum(all_of_them.values()) / (said - began)
            print(
                f"{said - began:6.0f} s  {sum(all_of_them.values()):>8} races, {rate:4.0f} a second, {len(faults)} faults"
            )
            print(f"{'':10}{dict(sorted(all_of_them.items()))}", flush=True)
    print("no double winner" if not faults else "\n".join(faults[:20]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int((sys.argv[2:] or ["2"])[0])))

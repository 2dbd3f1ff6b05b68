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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import asyncpg

from app.db.engine import plain_url
from app.protocol.pkce import challenge_of
from app.tokens.refresh import RefreshToken, written
from app.tokens.secrets import CODE, DEVICE, Secrets, fingerprint, new_id, new_secret
from tests.actors import DEVICE_CODE
from tests.commands import forks
from tests.conftest import EMPTIED, SECRET_KEY, database
from tests.staged.deeds import NEVER
from tests.staged.people import add_ada
from tests.staged.replica import replicas

LANES, BATCH, POOL = 24, 4000, 40
EVERY_SECONDS = 60.0
VERIFIER, CLIENT, CALLBACK, PUBLIC = "v" * 50, "client_races", "http://127.0.0.1:1/cb", "http://localhost:8000"
RESOURCE = f"{PUBLIC}/mcp"


@dataclass(frozen=True)
class Race:
    """One proof; `path` and `form` present it."""

    kind: str
    path: str
    form: dict[str, str]


class Lane:
    """A connection to each replica, on which one race after the other is run."""

    def __init__(self) -> None:
        self._ends: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open(self, ports: list[int]) -> None:
        self._ends = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
        self._hosts = [f"localhost:{port}" for port in ports]

    async def run(self, race: Race) -> list[tuple[int, bytes]]:
        """What each replica answered: both requests are on their way before either answer is read."""
        body = urlencode(race.form).encode()
        for (_, writer), host in zip(self._ends, self._hosts, strict=True):
            head = (
                f"POST {race.path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
            )
            writer.write(head.encode() + body)
        return [await self._answer(reader) for reader, _ in self._ends]

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].split(b"\r", 1)[0])
        return int(head[9:12]), await reader.readexactly(length)

    def close(self) -> None:
        for _, writer in self._ends:
            writer.close()


Prepared = Callable[[asyncpg.Connection, str, int], Awaitable[list[Race]]]


async def codes(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 6749 §4.1.2: one is answered, the other ends what it was given."""
    made, until = [new_secret(CODE) for _ in range(count)], datetime.now(UTC) + timedelta(hours=1)
    rest = (CLIENT, user_id, CALLBACK, "127.0.0.1", challenge_of(VERIFIER), ["read"], RESOURCE, until)
    names = ("fingerprint", "client_id", "user_id", "redirect_uri", "redirect_host", "code_challenge", "scope")
    rows = [(fingerprint(code), *rest) for code in made]
    await db.copy_records_to_table("codes", records=rows, columns=[*names, "resource", "expires_at"])
    proof = {"grant_type": "authorization_code", "code_verifier": VERIFIER, "client_id": CLIENT}
    return [Race("code", "/token", proof | {"code": code}) for code in made]


async def devices(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 8628 §3.5."""
    made, until = [new_secret(DEVICE) for _ in range(count)], datetime.now(UTC) + timedelta(hours=1)
    rows = [(fingerprint(code), code[-20:], CLIENT, ["read"], RESOURCE, until, 5, user_id, True) for code in made]
    names = ("fingerprint", "user_code", "client_id", "scope", "resource", "expires_at", "poll_interval", "user_id")
    await db.copy_records_to_table("device_codes", records=rows, columns=[*names, "allowed"])
    return [
        Race("device", "/token", {"grant_type": DEVICE_CODE, "client_id": CLIENT, "device_code": code}) for code in made
    ]


async def opened(db: asyncpg.Connection, user_id: str, count: int) -> list[str]:
    """The first refresh tokens of new connections."""
    ids, now = [new_id("con") for _ in range(count)], datetime.now(UTC)
    columns = ["id", "user_id", "client_id", "redirect_host", "resource", "scope", "refresh_counter", "created_at"]
    rows = [
        (name, user_id, CLIENT, "127.0.0.1", RESOURCE, ["read"], 0, now, now, now, now + timedelta(days=90))
        for name in ids
    ]
    columns += ["refreshed_at", "last_used_at", "expires_at"]
    await db.copy_records_to_table("connections", records=rows, columns=columns)
    await db.execute(
        "INSERT INTO audit_events (at, event, detail, actor)"
        " SELECT now(), 'token.issued', jsonb_build_object('connection', id), 'system' FROM unnest($1::text[]) id",
        ids,
    )
    secrets = Secrets.of((SECRET_KEY,))
    return [written(RefreshToken(name, 0), secrets.refresh) for name in ids]


async def refreshes(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """OAuth 2.1 §4.3.1: both are answered, with the same successor."""
    proof = {"grant_type": "refresh_token", "client_id": CLIENT}
    return [Race("refresh", "/token", proof | {"refresh_token": token}) for token in await opened(db, user_id, count)]


async def revocations(db: asyncpg.Connection, user_id: str, count: int) -> list[Race]:
    """RFC 7009 §2.2: both are told 200, one of them did it."""
    return [
        Race("revoke", "/revoke", {"token": token, "client_id": CLIENT}) for token in await opened(db, user_id, count)
    ]


KINDS: tuple[Prepared, ...] = (codes, devices, refreshes, revocations)  # one line for each


def fault(race: Race, answers: list[tuple[int, bytes]]) -> str | None:
    """What was answered that may not be."""
    statuses = sorted(status for status, _ in answers)
    if race.kind in ("code", "device"):
        return None if statuses == [200, 400] else f"{race.kind}: {answers}"
    if statuses != [200, 200]:
        return f"{race.kind}: {answers}"
    successors = {body.partition(b'"refresh_token":"')[2].split(b'"')[0] for _, body in answers}
    return None if len(successors) == 1 else f"two successors: {answers}"


# One connection for each race, none of them refreshed twice; those of codes are ended by the second who came.
CAME_OF_IT = """
SELECT count(*) AS connections, count(*) FILTER (WHERE refresh_counter = 1) AS refreshed,
  count(*) FILTER (WHERE refresh_counter > 1) AS refreshed_twice, count(*) FILTER (WHERE revoked_at IS NOT NULL) AS ended
FROM connections
"""


def expected(races: list[Race]) -> tuple[int, int, int, int]:
    kinds = Counter(race.kind for race in races)
    return len(races), kinds["refresh"], 0, kinds["code"] + kinds["revoke"]


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
        size = min(BATCH, count - sum(done.values()))
        races = await prepared(db, dsn, size)
        await batch(lanes, races, faults)
        done.update(race.kind for race in races)
        faults += [what for what, query in NEVER.items() if await db.fetch(query)]
        came = tuple(await db.fetchrow(CAME_OF_IT))
        faults += [] if came == expected(races) else [f"{came} came of it, not {expected(races)}"]
        tell(done)
    for lane in lanes:
        lane.close()
    await db.close()
    return done, faults


async def prepared(db: asyncpg.Connection, dsn: str, size: int) -> list[Race]:
    """In an empty database: as many of each kind, in no order, so that what waits for one lock does not wait alone."""
    await db.execute(EMPTIED)
    user_id = await add_ada(dsn)
    await db.execute(
        "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,"
        " metadata, created_at) VALUES ($1, 'static', 'Races', $2, $3, 'none', '{}', now())",
        CLIENT,
        [CALLBACK],
        ["authorization_code", "refresh_token", DEVICE_CODE],
    )
    races = [race for kind in KINDS for race in await kind(db, user_id, -(-size // len(KINDS)))][:size]
    random.shuffle(races)
    return races


def pair(number: int, count: int, told: Any) -> None:
    """A process: two replicas and a database of their own, and whoever races there."""

    def tell(done: Counter[str]) -> None:
        told.put((number, dict(done), None))

    with database() as dsn, replicas(dsn, 2, pool_size=POOL) as both:
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

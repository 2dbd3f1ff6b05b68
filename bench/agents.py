"""Agents: a challenge, a confirm and a charge over HTTP, each one SQL statement; and charges alone, as fast as Postgres takes them."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from app.agents import projects
from app.agents.sessions import PAID_LIFE, begin, jwt_of
from app.agents.start import wanted
from app.agents.store import Session
from app.db.engine import HotPool, pool
from app.metering.charging import charge
from app.metering.model import AGENT, MOST_SATS, Charge
from app.metering.till import Till
from app.work.challenge import Challenge, new_challenge, work_hash
from app.work.solve import solve
from bench.jobs import LEGACY, Job, call, request, same
from bench.load import Script, Task, drive
from bench.scene import Scene

CONFIRM, CHARGE, CHARGE_HOT = "agent: confirm of solved work", "agent: charge", "agent: charge, one hot session"
PRICED_CALL, PRICED = "agent: priced tools/call", "/priced/mcp"
SOLVED_PER_SECOND = 4000
CONNECTIONS, CALLERS, SESSIONS, CHARGES = 4, 128, 2000, 20_000


async def agent_jobs(scene: Scene, connections: int) -> list[Job]:
    key, port = await new_project(scene), scene.port
    challenges, numbers = deque[bytes](), count()

    async def solved(seconds: float) -> None:
        """Challenges as the server would have signed them, with work of one bit."""
        challenges.clear()
        challenges.extend(confirmation(scene, key) for _ in range(int(seconds * SOLVED_PER_SECOND) + connections))

    def confirming(slot: int) -> Script:
        while challenges:
            yield challenges.popleft()

    tokens = await _tokens(scene, key, connections)

    def charging(slot: int) -> Script:
        while True:
            yield posted(
                "/api/mcp/charge", port, {"callCostSats": 1, "idempotencyKey": f"{next(numbers)}"}, tokens[slot]
            )

    hot = posted("/api/mcp/charge", port, {"callCostSats": 1}, tokens[0])
    start = request("POST", "/api/mcp/start", port, b"{}", content_type="application/json", x_lw_public=key)
    return [
        Job("agent: challenge", same(start, 200, b'"powChallenge"')),
        Job(CONFIRM, Task(confirming, 200, b'"refreshToken"'), prepare=solved),
        Job(CHARGE, Task(charging, 200, b'"ok"')),
        Job(CHARGE_HOT, same(hot, 200, b'"ok"')),
        Job(PRICED_CALL, same(call(port, await buyer(scene), LEGACY, path=PRICED), 200, b"gatehouse/receipt")),
    ]


async def new_project(scene: Scene) -> str:
    now = datetime.now(UTC)
    made = projects.new_project(
        f"bench-{scene.port}",
        now,
        allowance_sats=MOST_SATS,
        max_calls_per_minute=1_000_000,
        bits_floor=1,
        bits_ceiling=1,
    )
    async with scene.world.db.begin() as db:
        await projects.add(db, made, now)
    return made.public_key


def confirmation(scene: Scene, key: str) -> bytes:
    world = scene.world
    made = new_challenge(wanted(key, "", world), 1, world.secrets.work, datetime.now(UTC))
    return posted("/api/mcp/confirm", scene.port, solution(made, key), key=key)


def solution(made: Challenge, key: str) -> dict[str, object]:
    found = solve(key, made.challenge_hex, "7" + "f" * 63)
    assert found is not None
    assert found[1] == work_hash(key, made.challenge_hex, found[0])
    return {
        "quoteId": made.quote_id,
        "challengeHex": made.challenge_hex,
        "nonce": found[0],
        "hashHex": found[1],
        "expiresAtUnix": made.expires_at,
        "difficultyBits": made.bits,
        "sig": made.signature,
    }


def posted(path: str, port: int, body: object, token: str = "", key: str = "") -> bytes:
    headers = {"content_type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    return request("POST", path, port, json.dumps(body).encode(), **headers, **({"x_lw_public": key} if key else {}))


async def buyer(scene: Scene) -> str:
    """A token of a session with a budget, for the tools that cost sats."""
    world, now = scene.world, datetime.now(UTC)
    audience = f"{world.settings.issuer}{PRICED}"
    session = Session(str(uuid.uuid4()), None, "paid", ("read",), audience, None, now, now + PAID_LIFE)
    async with world.db.begin() as db:
        await begin(db, session, now, allowance_sats=MOST_SATS, funded_sats=0, max_calls_per_minute=None)
    await world.live.load_keys()
    return jwt_of(session, world, now)[0]


async def _tokens(scene: Scene, key: str, how_many: int) -> list[str]:
    tokens: list[str] = []

    def script(slot: int) -> Script:
        while len(tokens) < how_many:
            tokens.append(json.loads((yield confirmation(scene, key)))["jwt"])

    await drive(Task(script, 200, b'"jwt"'), scene.port, seconds=30, most=how_many, connections=1)
    return tokens


@dataclass
class Charges:
    """Charges without HTTP in front: microseconds each, by the clock on the wall; a figure for each round."""

    hot: list[float] = field(default_factory=list)
    across: list[float] = field(default_factory=list)


async def measure(dsn: str, rounds: int) -> Charges:
    """One process that does nothing else, for 128 callers at a time."""
    found, now, connections = Charges(), datetime.now(UTC), await pool(dsn, CONNECTIONS)
    try:
        for number in range(rounds):
            names = [f"bench-{number}-{session}" for session in range(SESSIONS)]
            values = [(name, AGENT, None, MOST_SATS, 0, None, now, None) for name in names]
            await connections.executemany(OPEN, values)
            found.hot.append(await _each(connections, names[:1], now))
            found.across.append(await _each(connections, names, now))
    finally:
        await connections.close()
    return found


OPEN = """
INSERT INTO budgets (id, kind, user_id, allowance_sats, funded_sats, max_calls_per_minute, day, day_free_sats, day_sats,
  day_calls, last_free_sats, minute, minute_calls, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, '-infinity', 0, 0, 0, 0, '-infinity', 0, $7, $8)
"""


async def _each(connections: HotPool, names: list[str], now: datetime) -> float:
    began, numbers, till = time.perf_counter(), count(), Till(connections)

    async def work() -> None:
        while (number := next(numbers)) < CHARGES:
            name = names[number * 7919 % len(names)]
            taken = await charge(till, name, 1, f"{number} of {len(names)}", b"the same", now)
            assert isinstance(taken, Charge)

    await asyncio.gather(*(work() for _ in range(CALLERS)))
    return (time.perf_counter() - began) / CHARGES * 1e6

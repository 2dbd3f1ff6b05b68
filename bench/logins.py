"""Password logins beside calls of /mcp: thirty a second on two cores, and what that costs the calls."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, repeat

from app.users import passwords, store
from app.users.accounts import create
from app.web import sessions
from bench import proc
from bench.jobs import MODERN, call, form, same, tokens
from bench.load import BadAnswer, Measured, content_length, drive
from bench.scene import Scene

WORDS = "password logins beside calls"  # by which `--only` finds this
PER_SECOND = 30
PEOPLE = 300  # each signs in every ten seconds, from a new address
PASSWORD = "four words make one"
PATIENCE_SECONDS = 20.0
STEADY = 400  # calls a second, where their latency is looked at: a server that is busy, not flooded
MARKER = b'"structuredContent"'
MOST = 1_000_000  # requests a round


@dataclass(slots=True)
class Logins:
    """A figure for each round: calls without logins and with them. Latencies in milliseconds."""

    flooded: list[float] = field(default_factory=list)  # calls a second, as many as the server can
    flooded_beside: list[float] = field(default_factory=list)
    steady: list[float] = field(default_factory=list)  # p50 of STEADY calls a second
    steady_beside: list[float] = field(default_factory=list)
    steady_p99: list[float] = field(default_factory=list)
    steady_p99_beside: list[float] = field(default_factory=list)
    login: list[float] = field(default_factory=list)  # p50, beside the flood
    login_p99: list[float] = field(default_factory=list)
    server_ms: list[float] = field(default_factory=list)  # processor time a login, where nothing else is asked
    loop_ms: list[float] = field(default_factory=list)  # the loop's part of it, which calls have to wait for

    @property
    def lost_percent(self) -> float:
        """Of the calls a second: the median of the rounds' own ratios."""
        pairs = zip(self.flooded, self.flooded_beside, strict=True)
        return statistics.median([(1 - beside / alone) * 100 for alone, beside in pairs])

    def __str__(self) -> str:
        middle = statistics.median
        return (
            f"Logins: {PER_SECOND} a second on two cores cost {middle(self.server_ms):.1f} ms of processors each, "
            f"{middle(self.loop_ms):.1f} of them in the loop. A flooded server "
            f"answers {middle(self.flooded):.0f} calls a second without and {middle(self.flooded_beside):.0f} with them, a login then "
            f"takes {middle(self.login):.0f} ms (p99 {middle(self.login_p99):.0f}). Of {STEADY} calls a second each takes "
            f"{middle(self.steady):.2f} ms without (p99 {middle(self.steady_p99):.1f}) and {middle(self.steady_beside):.2f} with them "
            f"(p99 {middle(self.steady_p99_beside):.1f})."
        )


async def measure(scene: Scene, rounds: int, seconds: float, pid: int) -> Logins:
    """Rounds of calls alone and beside logins, one right after the other. Raises BadAnswer, also when a login is turned away."""
    found, logins = Logins(), requests(scene, await people(scene))
    token = (await tokens(scene, 1))[0]["access_token"]
    asked = call(scene.port, token, MODERN)
    flood, port = same(asked, 200, MARKER), scene.port

    await drive(flood, port, seconds=1, most=MOST)  # warm
    await paced(logins, port, 10, 1, 303)
    for _ in range(rounds):
        before = proc.server_seconds(pid), proc.loop_seconds(pid)
        quiet = await paced(logins, port, PER_SECOND, seconds, 303)
        after = proc.server_seconds(pid), proc.loop_seconds(pid)
        for figures, was, now in zip((found.server_ms, found.loop_ms), before, after, strict=True):
            figures.append(((now or 0) - (was or 0)) / quiet.count * 1000)
        alone = await drive(flood, port, seconds=seconds, most=MOST)
        calls, login = await asyncio.gather(
            drive(flood, port, seconds=seconds, most=MOST), paced(logins, port, PER_SECOND, seconds, 303)
        )
        found.flooded.append(alone.count / alone.seconds)
        found.flooded_beside.append(calls.count / calls.seconds)
        found.login.append(login.percentile(0.5) * 1000)
        found.login_p99.append(login.percentile(0.99) * 1000)
        alone = await paced(repeat(asked), port, STEADY, seconds, 200)
        calls, _ = await asyncio.gather(
            paced(repeat(asked), port, STEADY, seconds, 200), paced(logins, port, PER_SECOND, seconds, 303)
        )
        found.steady.append(alone.percentile(0.5) * 1000)
        found.steady_beside.append(calls.percentile(0.5) * 1000)
        found.steady_p99.append(alone.percentile(0.99) * 1000)
        found.steady_p99_beside.append(calls.percentile(0.99) * 1000)
    return found


async def people(scene: Scene) -> list[str]:
    """Their addresses; one password is hashed for all of them."""
    hashed, now = passwords.HASHER.hash(PASSWORD.encode()), scene.world.now()
    emails = [f"person-{number}@example.com" for number in range(PEOPLE)]
    async with scene.world.db.begin() as db:
        for email in emails:
            user = await create(db, email, "", None, now, is_admin=False)
            assert user is not None
            await store.set_password(db, user.id, hashed, now)
    return emails


def requests(scene: Scene, emails: list[str]) -> Iterator[bytes]:
    """Each person from a new address each time, so that nobody is told to wait."""
    for number in count():
        cookie = sessions.new_cookie()
        fields = {"csrf": sessions.form_token(cookie, scene.world), "email": emails[number % len(emails)]}
        first, rest = form("/login", scene.port, **fields, password=PASSWORD).split(b"\r\n", 1)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        named = f"Cookie: {sessions.cookie_name(scene.world.settings)}={cookie}\r\nX-Forwarded-For: {address}"
        yield b"%s\r\n%s\r\n%s" % (first, named.encode(), rest)


async def paced(sent: Iterator[bytes], port: int, per_second: float, seconds: float, status: int) -> Measured:
    """Requests at this rate, whatever becomes of those before; latencies count from when each was due. Raises BadAnswer."""
    began, latencies, under_way = time.perf_counter(), list[float](), list[asyncio.Task[None]]()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(request: bytes, due: float) -> None:
        while idle and idle[-1][0].at_eof():  # the server has closed it, unused for long
            idle.pop()[1].close()
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
        if int(head[9:12]) != status:
            raise BadAnswer(head.decode(errors="replace"))
        await reader.readexactly(content_length(head) or 0)
        latencies.append(time.perf_counter() - due)
        idle.append((reader, writer))

    for number in range(round(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        under_way.append(asyncio.ensure_future(one(next(sent), due)))
    await asyncio.gather(*under_way)
    took = time.perf_counter() - began
    for _, writer in idle:
        writer.close()
    return Measured(took, sorted(latencies))

"""One server with its database, and what a round of one job costs both of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from app.db.engine import plain_url
from bench import proc, scene
from bench.cores import Cores
from bench.grow.crew import Answered, Crew
from bench.grow.stock import Made, used
from bench.report import Line
from bench.running import RESOURCES, postgres
from bench.servers import Child, child, free_port

PER_SECOND = 6000  # requests prepared for each second and worker, where each is good once
MEMORY = (
    "ALTER SYSTEM SET shared_buffers = '1GB'",
    "ALTER SYSTEM SET max_wal_size = '8GB'",
)  # as docs/scale.md advises
QUIET_SECONDS, SETTLED = 0.5, 0.03  # between two looks, and how little of a processor is nothing


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float  # a round
    rounds: int
    rows: int
    streams: int
    only: str  # in the names of the jobs


@dataclass(slots=True)
class Side:
    """For each job and round: `busy` is how many cores the server's processes had in use, `least` what the least busy one had of
    its share, `wal` the bytes of write-ahead log a request."""

    name: str
    server: Child
    dsn: str
    postmaster: int
    workers: int
    connections: int
    lines: dict[str, Line] = field(default_factory=dict)
    busy: dict[str, list[float]] = field(default_factory=dict)
    least: dict[str, list[float]] = field(default_factory=dict)
    wal: dict[str, list[float]] = field(default_factory=dict)

    def line(self, job: str) -> Line:
        return self.lines.setdefault(job, Line(job, self.name))

    async def round(self, crew: Crew, made: Made, seconds: float, *, counts: bool = True) -> None:
        """Raises BadAnswer."""
        load = await made.send(int(seconds * PER_SECOND) * self.workers)
        marks: list[tuple[list[float], float]] = []

        def mark() -> None:
            marks.append((self._workers(), proc.cluster_seconds(self.postmaster) or 0.0))

        written = await self._written()
        answers = crew.round(load, self.server.port, seconds, mark)
        made.sent(used(answers, self.connections))
        if counts:
            self._count(made.name, answers, marks, await self._written() - written)

    def _count(self, job: str, answers: list[Answered], marks: list[tuple[list[float], float]], wal: int) -> None:
        line, (before, pg_before), (after, pg_after) = self.line(job), *marks
        took = [now - then for then, now in zip(before, after, strict=True)]
        count, lasted = sum(len(one.latencies) for one in answers), max(one.seconds for one in answers)
        latencies = sorted(latency for one in answers for latency in one.latencies)
        line.requests.append(count)
        line.per_second.append(count / lasted)
        line.server_us.append(sum(took) / count * 1e6)
        line.postgres_us.append((pg_after - pg_before) / count * 1e6)
        line.p50_ms.append(latencies[count // 2] * 1000)
        line.p99_ms.append(latencies[int(count * 0.99)] * 1000)
        self.busy.setdefault(job, []).append(sum(took) / lasted)
        self.wal.setdefault(job, []).append(wal / count)
        self.least.setdefault(job, []).append(min(took) / max(sum(took) / len(took), 0.01))

    async def _written(self) -> int:
        """Bytes of the write-ahead log."""
        db = await asyncpg.connect(plain_url(self.dsn))
        found: int = await db.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
        await db.close()
        return found

    def pids(self) -> list[int]:
        return [self.server.pid, *proc.children(self.server.pid)]

    def _workers(self) -> list[float]:
        """Seconds of each process that serves: one, or the children of a supervisor."""
        if self.workers == 1:
            return [proc.server_seconds(self.server.pid) or 0.0]
        return [proc.server_seconds(pid) or 0.0 for pid in serving(self.server.pid)]


def serving(supervisor: int) -> list[int]:
    """The workers, without the process that multiprocessing keeps for itself."""
    found = []
    for pid in sorted(proc.children(supervisor)):
        if b"resource_tracker" not in (proc.PROC / str(pid) / "cmdline").read_bytes():
            found.append(pid)
    return found


@contextmanager
def database(place: Path, chosen: Cores) -> Iterator[tuple[str, int]]:
    """A migrated database of its own that has some memory: its DSN and the pid of its postmaster."""
    place.mkdir(mode=0o711)
    with postgres(place, chosen) as (dsn, _):
        asyncio.run(_remember(dsn))
    with postgres(place, chosen) as found:
        yield found


async def _remember(dsn: str) -> None:
    db = await asyncpg.connect(plain_url(dsn))
    for setting in MEMORY:
        await db.execute(setting)
    await db.close()


@contextmanager
def serve(place: Path, dsn: str, workers: int, issuer_port: int, **settings: str) -> Iterator[Child]:
    """`serve --workers N` under the issuer of this port, which need not be its own: whoever asks names that Host."""
    port = issuer_port if workers == 1 else free_port()
    (place / "gatehouse.toml").write_text(RESOURCES)
    command = ["app", "serve", "--port", str(port), "--workers", str(workers)]
    given = scene.settings(dsn, issuer_port) | settings
    server = child(place, f"workers-{workers}", port, *command, cores=frozenset(), **given)
    try:
        server.wait_until("/readyz", 200)
        _settle(server, workers)
        yield server
    finally:
        server.stop()


def _settle(server: Child, workers: int) -> None:
    """Until every worker is there and has nothing more to do."""
    before = -1.0
    while True:
        now = proc.cluster_seconds(server.pid) or 0.0
        if len(serving(server.pid)) == (workers if workers > 1 else 0) and now - before < SETTLED:
            return
        before = now
        time.sleep(QUIET_SECONDS)

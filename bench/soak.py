"""`python -m bench.soak [--minutes 60]`: a server under steady, mixed load, and whether anything of it grows that should not.

`gatehouse serve` with one worker, for which days are minutes (bench/soaked.py), visited by everybody at once (bench/visits.py).
Every half minute it is noted how large everything is; the first half warms up, through the second a line is laid. Exit 1 where
something grows, where an answer was wrong, or where the server wrote an error into its log.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import asyncpg

from app.db.engine import plain_url
from bench import proc
from bench.cores import Cores
from bench.running import RESOURCES, gatehouse, postgres, prepared
from bench.servers import Child
from bench.visitors import Visitors
from bench.visits import visits

EVERY_SECONDS = 30.0
TOKEN = "a token for whoever measures"
EVERYWHERE = Cores(frozenset(), frozenset(), frozenset())
REMOTE = '\n[resources.remote]\npath = "/remote/mcp"\ntitle = "Remote"\nurl = "http://127.0.0.1:{}/mcp"\nscopes = {{ read = "Read" }}\n'
SETTINGS = {
    "access_token_lifetime": "60",
    "session_idle": "300",
    "session_absolute": "300",
    "lightning_url": "pretend://",
    "metrics_token": TOKEN,
    "log_level": "warning",
}
# What each may grow in an hour, in its own unit, by the line through the second half; and by how much it may seem to, since a
# reading is no steadier than that.
BOUNDS = {
    "resident MiB": (5.0, 1.5),
    "Postgres MiB": (10.0, 5.0),
    "files": (5.0, 5.0),
    "threads": (1.0, 1.0),
    "tasks": (5.0, 5.0),
    "tables MiB": (4.0, 1.0),
    "rows": (2000.0, 1000.0),
    "dead rows": (5000.0, 5000.0),
}
UNWELL = 0.001  # of all answers; where others use the disk, the database may be slow
WAL_MIB = 1100.0  # Postgres's own max_wal_size, and a segment or two
TABLES = """
SELECT relname, pg_table_size(relid) AS heap, pg_indexes_size(relid) AS indexes, n_dead_tup AS dead, n_tup_ins AS came,
  n_tup_del AS went, autovacuum_count AS vacuums FROM pg_stat_user_tables ORDER BY relname
"""
WAL = "SELECT sum(size)::bigint FROM pg_ls_waldir()"
GAUGE = re.compile(
    r'^gatehouse_(?:soak_size\{what="(\w+)"\}|(revocations)|callers_remembered\{resource="([^"]+)"\}) ([0-9.]+)$'
)


@dataclass
class Noted:
    """At one moment. `sizes` are of BOUNDS, and of what is only shown; `tables` name → rows, dead, bytes of heap and indexes."""

    at: float
    sizes: dict[str, float]
    tables: dict[str, tuple[int, int, int, int]]
    remembered: dict[str, float] = field(default_factory=dict)


class Watch:
    """Notes what there is to note of one server and its database."""

    def __init__(self, server: Child, postmaster: int, db: asyncpg.Connection, visitors: Visitors, place: Path) -> None:
        self.server, self.postmaster, self.db, self.visitors, self.place = server, postmaster, db, visitors, place
        self.noted: list[Noted] = []
        self._began, self._cpu, self._said = time.monotonic(), 0.0, 0

    async def note(self) -> None:
        status = (proc.PROC / str(self.server.pid) / "status").read_text()
        remembered = await asyncio.to_thread(self._remembered)
        tables = await self._tables()
        cpu, answered = proc.server_seconds(self.server.pid) or 0.0, sorted(self.visitors.seconds)
        self.visitors.seconds.clear()
        passed = max(time.monotonic() - self._began - (self.noted[-1].at if self.noted else 0.0), 0.1)
        sizes = {
            "resident MiB": proc.resident_mib(self.server.pid) or 0.0,
            "files": len(list((proc.PROC / str(self.server.pid) / "fd").iterdir())),
            "threads": int(status.partition("Threads:")[2].split()[0]),
            "tasks": remembered.pop("tasks", 0.0),
            "objects": remembered.pop("objects", 0.0),
            "tables MiB": sum(heap + indexes for _, _, heap, indexes in tables.values()) / 2**20,
            "rows": sum(rows for rows, *_ in tables.values()),
            "dead rows": sum(dead for _, dead, *_ in tables.values()),
            "Postgres MiB": sum(map(_own_mib, proc.children(self.postmaster))),
            "WAL MiB": await self.db.fetchval(WAL) / 2**20,
            "directory MiB": sum(f.stat().st_size for f in self.place.rglob("*") if f.is_file()) / 2**20,
            "cores": (cpu - self._cpu) / passed,
            "requests/s": len(answered) / passed,
            "p50 ms": answered[len(answered) // 2] * 1000 if answered else 0.0,
            "p99 ms": answered[int(len(answered) * 0.99)] * 1000 if answered else 0.0,
            "503": self.visitors.unwell,
            "faults": len(self.visitors.faults),
        }
        self._cpu = cpu
        self.noted.append(Noted(time.monotonic() - self._began, sizes, tables, remembered))
        self._show(self.noted[-1])

    def _remembered(self) -> dict[str, float]:
        asked = Request(f"http://127.0.0.1:{self.server.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        with urlopen(asked, timeout=20) as answer:
            found = [GAUGE.match(line) for line in answer.read().decode().splitlines()]
        return {hit[1] or hit[2] or f"callers of {hit[3]}": float(hit[4]) for hit in found if hit}

    async def _tables(self) -> dict[str, tuple[int, int, int, int]]:
        found = await self.db.fetch(TABLES)
        names = [row["relname"] for row in found]
        counts = await self.db.fetchrow("SELECT " + ", ".join(f'(SELECT count(*) FROM "{name}")' for name in names))
        return {
            row["relname"]: (rows, row["dead"], row["heap"], row["indexes"])
            for row, rows in zip(found, counts, strict=True)
        }

    def _show(self, noted: Noted) -> None:
        for fault in self.visitors.faults[self._said : self._said + 5]:
            print(fault, flush=True)
        self._said = len(self.visitors.faults)
        print(
            f"{noted.at:6.0f} s  " + "  ".join(f"{name} {value:.5g}" for name, value in noted.sizes.items()), flush=True
        )
        print(f"{'':10}" + "  ".join(f"{name} {value:g}" for name, value in noted.remembered.items()), flush=True)

    async def keep_noting(self, until: float) -> None:
        while (now := time.monotonic()) < until:
            await asyncio.sleep(min(EVERY_SECONDS, max(until - now, 0.1)))
            await self.note()


def _own_mib(pid: int) -> float:
    """Memory of a process that it shares with nobody."""
    try:
        status = (proc.PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0  # it has ended meanwhile
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def slope(noted: list[Noted], name: str) -> float:
    """In an hour: the line of least squares."""
    line = statistics.linear_regression([one.at for one in noted], [one.sizes[name] for one in noted])
    return line.slope * 3600


def verdicts(noted: list[Noted], answers: tuple[int, int, int], errors: list[str]) -> list[tuple[bool, str]]:
    """Whether each bound holds, and in words. `answers`: how many there were, how many of 503, how many wrong ones."""
    half = [one for one in noted if one.at >= noted[-1].at / 2 or one in noted[-3:]]
    hours, found = (half[-1].at - half[0].at) / 3600, []
    for name, (hourly, unsteady) in BOUNDS.items():
        grows = slope(half, name)
        values = [one.sizes[name] for one in half]
        most = max(hourly, unsteady / hours)
        words = f"{name}: {min(values):.5g} to {max(values):.5g}, {grows:+.2f} an hour, at most {most:.5g}"
        found.append((grows <= most, words))
    wal = max(one.sizes["WAL MiB"] for one in noted)
    found.append((wal < WAL_MIB, f"write-ahead log: at most {wal:.0f} MiB"))
    count, unwell, wrong = answers
    found.append((unwell <= count * UNWELL, f"{unwell} answers of 503"))
    found.append((not wrong, f"{wrong} wrong answers of {count}"))
    found.append((not errors, f"{len(errors)} errors in the server's log"))
    return found


def show(watch: Watch, errors: list[str]) -> bool:
    """The tables, then what holds. False where something does not."""
    noted, visitors = watch.noted, watch.visitors
    middle, last = noted[len(noted) // 2], noted[-1]
    print(
        f"\n{'table':20} {'rows, half way':>15} {'end':>8} {'dead':>8} {'kB half way':>12} {'end':>8} {'bytes a row':>12}"
    )
    for name, (rows, dead, heap, indexes) in last.tables.items():
        before = middle.tables[name]
        row = (heap + indexes) / rows if rows else 0
        size = (before[2] + before[3]) / 1024
        print(
            f"{name:20} {before[0]:>15} {rows:>8} {dead:>8} {size:>12.0f} {(heap + indexes) / 1024:>8.0f} {row:>12.0f}"
        )
    print("\n" + ", ".join(f"{name} {count}" for name, count in visitors.asked.most_common()))
    print("\n".join(errors[:20]))
    found = verdicts(noted, (visitors.answers, visitors.unwell, len(visitors.faults)), errors)
    print("\n".join(f"{'holds' if holds else 'FAILS'}  {words}" for holds, words in found))
    return all(holds for holds, _ in found)


async def soak(minutes: float, server: Child, postmaster: int, dsn: str, place: Path) -> bool:
    async with prepared(dsn, server.port) as stage:
        visitors, db = Visitors(stage), await asyncpg.connect(plain_url(dsn))
        everybody = await visits(visitors)
        watch = Watch(server, postmaster, db, visitors, place / "postgres")
        until = time.monotonic() + minutes * 60
        await asyncio.gather(visitors.come(everybody, until), watch.keep_noting(until))
        await db.close()
    errors = [line[:400] for line in server.log.read_text(errors="replace").splitlines() if '"level":"error"' in line]
    return show(watch, errors)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.soak", description="Whether anything grows under steady load."
    )
    parser.add_argument("--minutes", type=float, default=60.0, metavar="N")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that everything is stopped and removed
    place = Path(tempfile.mkdtemp(prefix="gatehouse-soak-"))
    place.chmod(0o711)  # as root, Postgres runs as somebody else, who has to pass through
    try:
        with ExitStack() as stack:
            dsn, postmaster = stack.enter_context(postgres(place, EVERYWHERE))
            backend = stack.enter_context(gatehouse(place, "streams", dsn, EVERYWHERE))
            resources = place / "soak.toml"
            resources.write_text(RESOURCES + REMOTE.format(backend.port))
            settings = SETTINGS | {"resources_file": str(resources)}
            server = stack.enter_context(gatehouse(place, "soaked", dsn, EVERYWHERE, **settings))
            return 0 if asyncio.run(soak(options.minutes, server, postmaster, dsn, place)) else 1
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

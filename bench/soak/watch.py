"""How large everything of one server and its database is, from /proc, /metrics and Postgres's own tables."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from urllib.request import Request, urlopen

import asyncpg

from bench import proc
from bench.servers import Child
from bench.soak.verdicts import Noted
from bench.soak.visitors import Visitors

EVERY_SECONDS = 30.0
TOKEN = "a token for whoever measures"
TABLES = """
SELECT relname, pg_table_size(relid) AS heap, pg_indexes_size(relid) AS indexes, n_dead_tup AS dead, n_tup_ins AS came,
  n_tup_del AS went, autovacuum_count AS vacuums FROM pg_stat_user_tables ORDER BY relname
"""
WAL = "SELECT sum(size)::bigint FROM pg_ls_waldir()"
GAUGE = re.compile(
    r'^gatehouse_(?:soak_size\{what="(\w+)"\}|(revocations)|callers_remembered\{resource="([^"]+)"\}) ([0-9.]+)$'
)


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
            "handles": len(list((proc.PROC / str(self.server.pid) / "fd").iterdir())) - self.visitors.connections(),
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

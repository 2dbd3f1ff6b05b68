"""The same jobs with a million of everything in the tables, and with a thousand, side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import uvloop
from rich.console import Console

from app.db.engine import plain_url
from bench import cores, tables
from bench.grow import lists, rows
from bench.grow.crew import Crew, crew
from bench.grow.growth import Plan, Side, database, serve
from bench.grow.stock import CALL_CROWD, Made, Stock
from bench.grow.workers import middle, shares
from bench.running import prepared
from bench.servers import free_port

FEW, CONNECTIONS = 1000, 32  # of so many rows requests name some, in both; in the third line any of the million
MOST = 1.2  # of what it is with a thousand


@dataclass(slots=True)
class Ground:
    """A database with so many rows, and a server in front of it."""

    dsn: str
    side: Side
    rows: int


def measure(place: Path, plan: Plan) -> None:
    place.mkdir(mode=0o711)
    ours, others = shares(1)
    chosen = cores.Cores(ours, frozenset(), others)
    with ExitStack() as stack:
        grounds = []
        for name, count in (("few", FEW), ("many", plan.rows)):
            dsn, postmaster = stack.enter_context(database(place / name, chosen))
            server = stack.enter_context(serve(place, dsn, 1, free_port()))
            cores.pin([server.pid], ours)
            grounds.append(Ground(dsn, Side(name, server, dsn, postmaster, 1, CONNECTIONS), count))
        hands = stack.enter_context(crew(1))
        hands.pin(others)
        few, many = grounds
        spread = Ground(
            many.dsn, Side("any", many.side.server, many.dsn, many.side.postmaster, 1, CONNECTIONS), plan.rows
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            read = runner.run(_rounds(few, many, spread, hands, plan))
            show([few, many, spread], plan.rows)
            runner.run(_sizes(many.dsn))
        say("rows read from end to end by these jobs: " + (read or "none"))
        lists.measure(place, many.dsn, many.side.server, plan.rows)


async def _rounds(few: Ground, many: Ground, spread: Ground, hands: Crew, plan: Plan) -> str:
    async with prepared(few.dsn, few.side.server.port) as one, prepared(many.dsn, many.side.server.port) as other:
        jobs: list[list[Made]] = []
        for ground, scene in ((few, one), (many, other)):
            began = time.monotonic()
            await rows.fill(ground.dsn, scene, ground.rows)
            say(f"{ground.rows:,} of everything filled in, in {time.monotonic() - began:.0f} s")
        jobs.append(Stock(one, range(1, FEW + 1), FEW, CONNECTIONS).jobs(plan.only))
        half = plan.rows // 2
        jobs.append(Stock(other, range(1, half + 1), FEW, CONNECTIONS).jobs(plan.only))
        jobs.append(Stock(other, range(half + 1, plan.rows + 1), plan.rows, CONNECTIONS).jobs(plan.only))
        before = await scanned(many.dsn)
        for number in range(-1, plan.rounds):
            together = [same for same in zip(*jobs, strict=True) if same[0].name != CALL_CROWD]  # no question of rows
            for same in together if number % 2 else reversed(together):
                for ground, made in zip((few, many, spread), same, strict=True):
                    seconds = plan.seconds if number >= 0 else 0.5
                    await ground.side.round(hands, made, seconds, counts=number >= 0)
        await asyncio.sleep(2)  # until Postgres has counted
        after = await scanned(many.dsn)
    return ", ".join(f"{table} {count - before[table]:,}" for table, count in after.items() if count > before[table])


async def scanned(dsn: str) -> dict[str, int]:
    """Rows that were read by walking through a table, by table."""
    db = await asyncpg.connect(plain_url(dsn))
    found = await db.fetch("SELECT relname, seq_tup_read FROM pg_stat_user_tables ORDER BY 1")
    await db.close()
    return {row["relname"]: row["seq_tup_read"] for row in found}


def show(grounds: Iterable[Ground], count: int) -> None:
    few, many, spread = grounds
    console = Console(width=max(Console().width, 120), highlight=False)
    heads = (
        "rows, of which\nrequests name",
        "server\nCPU µs",
        "Postgres\nCPU µs",
        "WAL\nbytes",
        "p50\nms",
        "requests\n/s",
    )
    compared = ("× server", "× Postgres", "× p50", "")
    table = tables.figures("Rows: medians of the rounds", "job", *heads, *compared)
    named = {
        few.side.name: f"{FEW:,}: {FEW:,}",
        many.side.name: f"{count:,}: {FEW:,}",
        spread.side.name: f"{count:,}: any",
    }
    for job in few.side.lines:
        base = figures(few.side, job)
        for ground in (few, many, spread):
            found = figures(ground.side, job)
            ratios = [one / other if other >= 1e-9 else 1.0 for one, other in zip(found, base, strict=True)][:3]
            wal = middle(ground.side.wal[job])
            cells = [f"{found[0]:.0f}", f"{found[1]:.0f}", f"{wal:,.0f}", f"{found[2]:.2f}", f"{found[3]:,.0f}"]
            words = [""] * 4
            if ground is not few:
                shown = [f"{ratio:.2f}" for ratio in ratios]
                worst = max(ratio for ratio, cost in zip(ratios, found, strict=False) if cost >= 0.5)
                words = [*shown, "" if ground is spread else "ok" if worst <= MOST else "MISSED"]
            table.add_row(
                job if ground is few else "", named[ground.side.name], *cells, *words, end_section=ground is spread
            )
    console.print(table)
    ours, others = shares(1)
    console.print(
        f"Target: at most {MOST} × with {count:,} users, connections, keys, sessions, consents and audit events, and "
        f"{count // rows.CLIENTS:,} clients. Server on core {sorted(ours)}, load and both Postgres on {sorted(others)}."
    )


def figures(side: Side, job: str) -> list[float]:
    line = side.lines[job]
    return [middle(line.server_us), middle(line.postgres_us), middle(line.p50_ms), middle(line.per_second)]


async def _sizes(dsn: str) -> None:
    table = tables.figures("Rows as they lie on disk", "table", "rows", "bytes a row", "with its indexes")
    for name, (count, heap, whole) in (await rows.sizes(dsn)).items():
        table.add_row(name, f"{count:,}", f"{heap:.0f}", f"{whole:.0f}")
    Console(width=100, highlight=False).print(table)


def say(words: str) -> None:
    print(f"grow: {words}", flush=True)

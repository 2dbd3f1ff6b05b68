"""The same jobs at 1, 2 and 4 workers, each filled: does a second worker do as much as the first, and does a request cost the same?"""

from __future__ import annotations

import asyncio
import os
import statistics
from contextlib import ExitStack
from pathlib import Path

import uvloop
from rich.console import Console

from bench import cores, proc, tables
from bench.cores import Cores
from bench.grow.crew import Crew, crew
from bench.grow.growth import Plan, Side, database, serve
from bench.grow.rows import fill
from bench.grow.stock import Stock
from bench.running import prepared
from bench.servers import free_port

COUNTS = (1, 2, 4)
ROWS, ACTIVE, CONNECTIONS = 3000, 1000, 32  # connections for each worker
LINEAR, FULL = 0.9, 0.93  # of the first worker's figure; of its cores in use, to call a server filled


def measure(place: Path, plan: Plan) -> None:
    place.mkdir(mode=0o711)
    nobody = Cores(frozenset(), frozenset(), frozenset())
    with ExitStack() as stack:
        dsn, postmaster = stack.enter_context(database(place / "database", nobody))
        issuer = free_port()
        sides = []
        for count in COUNTS:
            server = stack.enter_context(serve(place, dsn, count, issuer))
            sides.append(Side(f"{count}", server, dsn, postmaster, count, CONNECTIONS * count))
        hands = stack.enter_context(crew(2))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_rounds(dsn, issuer, sides, hands, plan))
    show(sides)


async def _rounds(dsn: str, issuer: int, sides: list[Side], hands: Crew, plan: Plan) -> None:
    """Every job at every number of workers, within seconds of each other, once a round."""
    async with prepared(dsn, issuer) as scene:
        await fill(dsn, scene, ROWS)
        jobs = []
        for place, side in enumerate(sides):
            own = range(1 + place * ACTIVE, 1 + (place + 1) * ACTIVE)
            jobs.append(Stock(scene, own, ACTIVE, side.connections).jobs(plan.only))
        for number in range(-1, plan.rounds):  # the first is to warm up
            together = list(zip(*jobs, strict=True))
            for same in together if number % 2 else reversed(together):
                for side, made in zip(sides, same, strict=True):
                    layout(side, hands)
                    await side.round(hands, made, plan.seconds if number >= 0 else 0.5, counts=number >= 0)


def shares(workers: int) -> tuple[frozenset[int], frozenset[int]]:
    """Cores for the workers, and for the load with Postgres: half of all; where the rest does not hold the workers, everybody has all."""
    free = sorted(os.sched_getaffinity(0))
    others, ours = free[: len(free) // 2], free[len(free) // 2 :]
    if workers > len(ours):
        return frozenset(free), frozenset(free)
    return frozenset(ours[-workers:]), frozenset(others)


def layout(side: Side, hands: Crew) -> None:
    ours, others = shares(side.workers)
    cores.pin(side.pids(), ours)
    cores.pin([side.postmaster, *proc.children(side.postmaster)], others)
    hands.pin(others)


def show(sides: list[Side]) -> None:
    console = Console(width=max(Console().width, 120), highlight=False)
    heads = ("workers", "requests\n/s", "server\nCPU µs", "Postgres\nCPU µs", "cores\nin use")
    ratios = ("× linear", "× linear\nby CPU", "")
    table = tables.figures("Workers: medians of the rounds", "job", *heads, *ratios)
    for name, one in sides[0].lines.items():
        for side in sides:
            line = side.lines[name]
            figures = [middle(line.per_second), middle(line.server_us), middle(line.postgres_us)]
            rate = figures[0] / middle(one.per_second) / side.workers
            cost = middle(one.server_us) / figures[1]
            cells = [
                f"{figures[0]:,.0f}",
                *(f"{figure:.0f}" for figure in figures[1:]),
                f"{middle(side.busy[name]):.2f}",
            ]
            first = name if side.workers == 1 else ""
            words = (
                ["", "", ""] if side.workers == 1 else [f"{rate:.2f}", f"{cost:.2f}", verdict(side, name, rate, cost)]
            )
            table.add_row(first, side.name, *cells, *words, end_section=side is sides[-1])
    console.print(table)
    for side in sides:
        ours, others = shares(side.workers)
        where = "shared with load and Postgres" if ours == others else f"load and Postgres on {sorted(others)}"
        console.print(f"{side.name}: workers on cores {sorted(ours)}, {where}.")
    console.print(
        f"Target: {LINEAR} × linear, where cores lasted: where the workers had cores of their own, and {FULL:.0%} of them in use; else by "
        "CPU, which is what one worker takes for a request, over what several take: 1.00 is linear as long as cores last."
    )


def verdict(side: Side, job: str, rate: float, cost: float) -> str:
    """By the rate where both had their cores and filled them, else by what a request costs."""
    ours, others = shares(side.workers)
    if ours == others:
        return "no cores of their own"
    if is_filled(side, job):
        return "ok" if rate >= LINEAR else "MISSED"
    return "not filled, ok by CPU" if cost >= LINEAR else "not filled, MISSED by CPU"


def is_filled(side: Side, job: str) -> bool:
    return middle(side.busy[job]) >= FULL * side.workers


def middle(figures: list[float]) -> float:
    return statistics.median(figures)

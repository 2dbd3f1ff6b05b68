"""`python -m bench [--quick] [--json] [--only WORDS]`: processor time, latency, round trips, start-up, memory. It exits with 0."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from bench import agents, cores, logins, proc, remote, roundtrips, scene, startup
from bench.agents import CHARGE, agent_jobs
from bench.floored import floor_jobs
from bench.jobs import FLOOR, GUARDED, UNGUARDED, Job, all_jobs, tokens
from bench.load import CONNECTIONS, BadAnswer, drive
from bench.logins import WORDS, Logins
from bench.pages import page_jobs, weight
from bench.ratios import floor_targets
from bench.remote import Remote
from bench.report import Line, Report, agent_targets, as_json, people_targets, remote_targets, show, targets
from bench.running import gatehouse, postgres, prepared
from bench.servers import Child, DidNotStart

MOST = 60_000  # requests a round


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seconds: float
    warm_seconds: float
    starts: int
    only: str = ""  # in the names of the jobs


FULL = Plan(rounds=5, seconds=1.8, warm_seconds=0.5, starts=3)
QUICK = Plan(rounds=3, seconds=0.6, warm_seconds=0.2, starts=1)


def say(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)


async def measure_round(job: Job, line: Line, server: Child, postmaster: int, seconds: float) -> None:
    """One job for one round, its figures added to its line."""
    if job.prepare is not None:
        await job.prepare(seconds)
    marks: list[tuple[float | None, float | None]] = []

    def mark() -> None:
        marks.append((proc.server_seconds(server.pid), proc.cluster_seconds(postmaster)))

    try:
        measured = await drive(job.task, server.port, seconds=seconds, most=MOST, mark=mark)
    except BadAnswer as fault:
        log = server.log.read_text(errors="replace").splitlines()
        told = [entry for entry in log if '"level":"info"' not in entry][-5:]
        raise BadAnswer("\n".join([f"{job.name}: {fault}", "the last warnings in the server's log:", *told])) from fault
    line.requests.append(measured.count)
    line.per_second.append(measured.count / measured.seconds)
    line.p50_ms.append(measured.percentile(0.5) * 1000)
    line.p99_ms.append(measured.percentile(0.99) * 1000)
    for figures, before, after in zip((line.server_us, line.postgres_us), *marks, strict=True):
        if before is not None and after is not None:
            figures.append((after - before) / measured.count * 1e6)


async def measure_jobs(plan: Plan, servers: dict[str, Child], dsn: str, postmaster: int) -> list[Line]:
    """Every job once a round, every second round backwards, so that slow drift falls on all alike."""
    async with prepared(dsn, servers[GUARDED].port) as stage:
        jobs = await chosen_jobs(stage, servers, CONNECTIONS, plan)
        lines = [Line(job.name, job.server, kilobytes=weight(stage, job.page)) for job in jobs]
        for job in jobs:
            await measure_round(job, Line("", ""), servers[job.server], postmaster, plan.warm_seconds)
        pairs = list(zip(jobs, lines, strict=True))
        for number in range(plan.rounds):
            say(f"round {number + 1} of {plan.rounds}")
            # Clients by the ten thousand came since the last round: autovacuum, which looks once a minute, would be too late.
            await stage.world.pool.execute("ANALYZE")
            for job, line in pairs if number % 2 == 0 else reversed(pairs):
                await measure_round(job, line, servers[job.server], postmaster, plan.seconds)
        return lines


async def chosen_jobs(stage: scene.Scene, servers: dict[str, Child], connections: int, plan: Plan) -> list[Job]:
    """Those of the floor beside their own, so that they are measured so too."""
    jobs = [
        *await all_jobs(stage, servers[UNGUARDED].port if UNGUARDED in servers else 0, connections),
        *page_jobs(stage),
        *await agent_jobs(stage, connections),
    ]
    if FLOOR in servers:
        places = {job.name: place for place, job in enumerate(jobs)}
        jobs = sorted(
            [*jobs, *await floor_jobs(stage, servers[FLOOR].port, connections)], key=lambda job: places[job.name]
        )
    return [job for job in jobs if plan.only in job.name]


def measure_logins(place: Path, plan: Plan, dsn: str, postmaster: int, chosen: cores.Cores) -> Logins | None:
    """With a server of its own that has two cores; None where there are not enough of them, or nobody asked."""
    wide = cores.with_two(chosen)
    if wide is None or plan.only not in WORDS or not proc.HAVE_PROC:
        return None
    say("signing people in beside calls")
    cores.pin([postmaster, *proc.children(postmaster)], wide.postgres)
    with gatehouse(place, "logins", dsn, wide) as server, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def run() -> Logins:
            async with prepared(dsn, server.port) as stage:
                return await logins.measure(stage, plan.rounds, plan.seconds * 2, server.pid)

        return runner.run(run())


def measure_remote(place: Path, plan: Plan, dsn: str, chosen: cores.Cores) -> Remote | None:
    """With a server of its own in front of each backend; None where nobody asked."""
    if plan.only not in remote.WORDS or not proc.HAVE_PROC:
        return None
    say("calling a remote backend")
    found = Remote()
    apart = replace(chosen, server=chosen.postgres)  # which has nothing to do: calls ask it for nothing
    files = {"raw": remote.file_of(python="bench.raw:app")}
    for name in (UNGUARDED, "streams"):
        with gatehouse(place, name, dsn, apart) as backend, ExitStack() as stack:
            files["remote"] = remote.file_of(url=f"http://127.0.0.1:{backend.port}/mcp")
            fronts = {}
            for front, words in files.items():
                (place / f"{front}.toml").write_text(words)
                settings = {"resources_file": str(place / f"{front}.toml")}
                fronts[front] = stack.enter_context(gatehouse(place, front, dsn, chosen, **settings))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_call(found, fronts, backend, dsn, plan, is_quick=name != UNGUARDED))
    return found


async def _call(
    found: Remote, fronts: dict[str, Child], backend: Child, dsn: str, plan: Plan, *, is_quick: bool
) -> None:
    front, raw = fronts["remote"], fronts["raw"]
    async with prepared(dsn, front.port) as stage, prepared(dsn, raw.port) as other:
        (token,), (raw_token,) = await tokens(stage, 1), await tokens(other, 1)
        pair = token["access_token"], raw_token["access_token"]
        if is_quick:
            await remote.quick(found, front, raw, pair, plan.rounds, plan.seconds)
            await remote.streams(found, front, backend, pair[0])
        else:
            await remote.calls(found, front, backend, pair[0], plan.rounds, plan.seconds)


async def count_round_trips(place: Path, dsn: str, chosen: cores.Cores, lines: list[Line], plan: Plan) -> None:
    """With a server of its own behind the proxy, and a user of its own: the scene is set up once more."""
    say("counting SQL round trips")
    async with roundtrips.counting_proxy(dsn, place) as (counter, through):
        stack = ExitStack()
        try:  # in a thread, since the proxy has to go on meanwhile
            server = await asyncio.to_thread(stack.enter_context, gatehouse(place, "counted", through, chosen))
            async with prepared(dsn, server.port) as stage:
                ours = {line.job: line for line in lines if line.server == GUARDED}
                for job in await chosen_jobs(stage, {}, 1, plan):
                    if job.server == GUARDED:
                        ours[job.name].round_trips = await roundtrips.counted(job, server.port, counter)
        finally:
            await asyncio.to_thread(stack.close)


def measure(place: Path, plan: Plan) -> Report:
    chosen = cores.plan()
    if plan.starts:
        say("starting `gatehouse up` from nothing and from an existing directory")
    from_nothing, from_existing = startup.measure(place, plan.starts)
    with ExitStack() as stack:
        dsn, postmaster = stack.enter_context(postgres(place, chosen))
        cores.pin([0], chosen.load)
        servers = {
            name: stack.enter_context(gatehouse(place, name, dsn, chosen)) for name in (GUARDED, UNGUARDED, FLOOR)
        }
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            lines = runner.run(measure_jobs(plan, servers, dsn, postmaster))
            resident = proc.resident_mib(servers[GUARDED].pid)
            runner.run(count_round_trips(place, dsn, chosen, lines, plan))
            charges = runner.run(agents.measure(dsn, plan.rounds if plan.only in CHARGE else 0))
        far = measure_remote(place, plan, dsn, chosen)
        found = measure_logins(place, plan, dsn, postmaster, chosen)
    verdicts = [
        *targets(lines, from_nothing, from_existing, resident),
        *people_targets(lines, found),
        *agent_targets(lines, charges),
        *remote_targets(far),
        *floor_targets(lines),
    ]
    return Report(conditions(plan, chosen), lines, verdicts, found, far)


def conditions(plan: Plan, chosen: cores.Cores) -> str:
    return (
        f"{plan.rounds} interleaved rounds of {plan.seconds:g} s, {CONNECTIONS} connections with one request in flight each "
        f"(so latency is that of a saturated core); {chosen}.\n"
        "CPU: utime + stime of the one server process and of all Postgres processes, without the load. "
        "SQL round trips: Sync, Query and Flush messages on the wire for one warm request alone, seen by a proxy.\n"
        f"Start-up: until /readyz answers 200, unpinned, bytecode compiled, median of {plan.starts or 'none'}. "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="What Gatehouse costs, on loopback.")
    parser.add_argument("--quick", action="store_true", help="under a minute; the figures scatter more")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="the jobs with this in their names, and no start-up"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")
    options = parser.parse_args()
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that everything is stopped and removed
    if not proc.HAVE_PROC:
        say("this system has no /proc: processor time and memory are not measured")
    place = Path(tempfile.mkdtemp(prefix="gatehouse-bench-"))
    place.chmod(0o711)  # as root, Postgres runs as somebody else, who has to pass through
    try:
        plan = QUICK if options.quick else FULL
        report = measure(place, replace(plan, only=options.only, starts=0) if options.only else plan)
    except (BadAnswer, DidNotStart) as fault:
        say(f"given up: {fault}")
        return
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(as_json(report)) if options.json else show(report)
    say(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

"""`python -m bench.soak [--minutes 60]`: a server under steady, mixed load, and whether anything of it grows that should not.

`gatehouse serve` with one worker, for which days are minutes (soaked.py), visited by everybody at once (visits.py).
Every half minute it is noted how large everything is; the first half warms up, through the second a line is laid. Exit 1 where
something grows, where an answer was wrong, or where the server wrote an error into its log.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import asyncpg

from app.db.engine import plain_url
from bench.cores import Cores
from bench.running import RESOURCES, gatehouse, postgres, prepared
from bench.servers import Child
from bench.soak.verdicts import verdicts
from bench.soak.visitors import Visitors
from bench.soak.visits import visits
from bench.soak.watch import TOKEN, Watch

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
    if options.minutes < 2:
        parser.error("a line needs two minutes at least")
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

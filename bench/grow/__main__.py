"""`python -m bench.grow`: how the figures grow, with workers, with rows in the tables, with open streams. It exits with 0."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import proc
from bench.grow import crowd, many, workers
from bench.grow.growth import Plan
from bench.load import BadAnswer
from bench.servers import DidNotStart

PARTS = {"workers": workers.measure, "rows": many.measure, "streams": crowd.measure}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.grow", description="How the cost of a request grows.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all three, if none is named")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--only", default="", metavar="WORDS", help="the jobs with this in their names")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that everything is stopped and removed
    if not proc.HAVE_PROC:
        sys.exit("this system has no /proc: nothing can be measured here")
    plan = Plan(options.seconds, options.rounds, options.rows, options.streams, options.only)
    began = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="gatehouse-grow-"))
    place.chmod(0o711)  # as root, Postgres runs as somebody else, who has to pass through
    try:
        for part in options.parts or PARTS:
            PARTS[part](place / part, plan)
    except (BadAnswer, DidNotStart) as fault:
        say(f"given up: {fault}")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    say(f"took {time.monotonic() - began:.0f} s; Python {platform.python_version()}, {os.cpu_count()} cores")


def say(words: str) -> None:
    print(f"grow: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

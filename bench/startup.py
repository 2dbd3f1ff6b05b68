"""How long `gatehouse up` takes until it serves: from nothing, and from a data directory that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.db import embedded
from bench.servers import Child, child, free_port


def measure(place: Path, times: int) -> tuple[list[float], list[float]]:
    """Seconds from the start of the process until /readyz answers 200, from nothing and from what that left.

    Nothing is pinned. A start before the measured ones compiles the bytecode.
    """
    from_nothing: list[float] = []
    from_existing: list[float] = []
    if not times:
        return from_nothing, from_existing
    for attempt in range(times + 1):
        folder = place / f"data-{attempt}"
        try:
            first = _start(place, folder)
            second = _start(place, folder) if attempt else 0.0
        finally:
            embedded.stop(folder)
            shutil.rmtree(folder, ignore_errors=True)
        if attempt:
            from_nothing.append(first)
            from_existing.append(second)
    return from_nothing, from_existing


def _start(place: Path, folder: Path) -> float:
    port = free_port()
    server: Child = child(
        place, "up", port, "app", "up", "--port", str(port), "--data-dir", str(folder), cores=frozenset()
    )
    try:
        return server.wait_until("/readyz", 200)
    finally:
        server.stop()

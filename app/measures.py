"""What a process counts and times, in plain dictionaries, and how the numbers of several add up (Prometheus text format 0.0.4)."""

from __future__ import annotations

import json
import os
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Key = tuple[str | int, ...]  # the name, then a value for each label
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SILENT_SECONDS = 10.0  # a process that says nothing for so long is gone: what it counted stays, what it held does not


class Metric(NamedTuple):
    """`kind` is Prometheus's; a gauge of several processes is their `sum`, or the largest (`max`)."""

    kind: str
    meaning: str
    labels: tuple[str, ...] = ()
    gathered: str = "sum"


def counter(meaning: str, *labels: str) -> Metric:
    return Metric("counter", meaning, labels)


def gauge(meaning: str, *labels: str, gathered: str = "sum") -> Metric:
    return Metric("gauge", meaning, labels, gathered)


CATALOG = {
    "gatehouse_info": gauge("1, of this version.", "version", gathered="max"),
    "gatehouse_workers": gauge("Processes that answer, of this server."),
    "gatehouse_ready_to_leave": gauge("Processes that were told to stop and still serve."),
    "gatehouse_requests_total": counter("Requests, by address and status.", "route", "status"),
    "gatehouse_request_seconds": Metric("histogram", "Time to the first byte of the answer.", ("route",)),
    "gatehouse_refusals_total": counter("Refusals, by address and word of the specification.", "route", "error"),
    "gatehouse_tokens_total": counter("Access tokens that were issued.", "grant"),
    "gatehouse_backend_seconds": Metric("histogram", "Time a backend takes to its first byte.", ("resource",)),
    "gatehouse_backend_busy": gauge("Calls and streams on a backend now.", "resource"),
    "gatehouse_backend_streams": gauge("Streams of events among them.", "resource"),
    "gatehouse_verifications_total": counter("Callers at the guard: remembered, or checked anew.", "how"),
    "gatehouse_callers_remembered": gauge("Tokens that are remembered, at most 30,000 a resource.", "resource"),
    "gatehouse_revocations": gauge("Revocations that are remembered.", gathered="max"),
    "gatehouse_revocation_lag_seconds": Metric("histogram", "From a revocation's record to this process's knowing."),
    "gatehouse_database_silence_seconds": gauge("Since the database was last heard.", gathered="max"),
    "gatehouse_pool_connections": gauge("Database connections: hot and cool pool, busy and idle.", "pool", "state"),
    "gatehouse_pool_size": gauge("How many there may be.", "pool"),
    "gatehouse_signing_key_age_seconds": gauge("Of the key that signs access tokens.", gathered="max"),
    "gatehouse_swept_total": counter("Expired rows that were deleted.", "table"),
    "gatehouse_sweeps_total": counter("Rounds of the sweep: done (perhaps by another replica), or failed.", "how"),
    "gatehouse_loop_delay_seconds": gauge("How late the event loop is, at worst in the last second.", gathered="max"),
    "gatehouse_resident_bytes": gauge("Memory."),
    "gatehouse_open_files": gauge("File descriptors."),
    "gatehouse_cpu_seconds_total": counter("Time of processors."),
}


class Measures:
    """One per process. `count` and `time` are for everybody; `levels` for what goes up and down; `watch` for what is looked
    up when somebody asks."""

    def __init__(self) -> None:
        self.counts: defaultdict[Key, float] = defaultdict(float)
        self.times: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0] * (len(BUCKETS) + 2))
        self.levels: dict[Key, float] = {}
        self._name = f"{os.getpid()}-{time.time_ns()}.json"  # numbers of processes are used again
        self._others: set[Path] = set()  # a listing may miss one that is just being replaced
        self._watched: list[Callable[[], Iterable[tuple[Key, float]]]] = []

    def count(self, *key: str | int) -> None:
        self.counts[key] += 1

    def time(self, seconds: float, *key: str | int) -> None:
        row = self.times[key]
        row[bisect_left(BUCKETS, seconds)] += 1
        row[-1] += seconds

    def watch(self, look: Callable[[], Iterable[tuple[Key, float]]]) -> None:
        self._watched.append(look)

    def snapshot(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        levels = self.levels | {key: value for look in self._watched for key, value in look()}
        return {
            "at": time.time(),
            "counts": [[*key, value] for key, value in self.counts.items()],
            "times": [[*key, row] for key, row in self.times.items()],
            "levels": [[*key, value] for key, value in levels.items()],
        }

    def leave_in(self, folder: Path) -> None:
        """For the others to read, whole at any moment."""
        path = folder / self._name
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(self.snapshot()))
        draft.replace(path)

    def left_by_others(self, folder: Path) -> list[dict[str, Any]]:
        """What every other process left, whether or not it still runs."""
        self._others |= {path for path in folder.glob("*.json") if path.name != self._name}
        return [json.loads(path.read_text()) for path in self._others]


def exposition(snapshots: Iterable[Mapping[str, Any]]) -> str:
    """All of them added up."""
    sums: dict[Key, float] = defaultdict(float)
    rows: dict[Key, list[float]] = {}
    now = time.time()
    for one in snapshots:
        for *key, value in one["counts"]:
            sums[tuple(key)] += value
        for *key, row in one["times"]:
            rows[tuple(key)] = [a + b for a, b in zip(rows.get(tuple(key), [0.0] * len(row)), row, strict=True)]
        for *key, value in one["levels"] if now - one["at"] < SILENT_SECONDS else ():
            largest = CATALOG[str(key[0])].gathered == "max"
            sums[tuple(key)] = max(sums[tuple(key)], value) if largest else sums[tuple(key)] + value
    lines = []
    for name, metric in CATALOG.items():
        lines += [f"# HELP {name} {metric.meaning}", f"# TYPE {name} {metric.kind}"]
        lines += [f"{name}{_labels(metric, key)} {_number(value)}" for key, value in sums.items() if key[0] == name]
        for key, row in rows.items():
            if key[0] == name:
                lines += _histogram(name, metric, key, row)
    return "\n".join(lines) + "\n"


def _histogram(name: str, metric: Metric, key: Key, row: list[float]) -> list[str]:
    lines, below = [], 0.0
    for bound, hits in zip((*map(str, BUCKETS), "+Inf"), row, strict=False):
        below += hits
        lines.append(f"{name}_bucket{_labels(metric, key, le=bound)} {_number(below)}")
    labels = _labels(metric, key)
    return [*lines, f"{name}_sum{labels} {_number(row[-1])}", f"{name}_count{labels} {_number(below)}"]


def _labels(metric: Metric, key: Key, **more: str) -> str:
    given = dict(zip(metric.labels, key[1:], strict=True)) | more
    texts = (f'{name}="{_escaped(str(value))}"' for name, value in given.items())
    return "{" + ",".join(texts) + "}" if given else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 9))

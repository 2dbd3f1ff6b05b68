"""What the soak notes at one moment, and whether anything of it grew that should not have."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

# What each may grow in an hour, in its own unit, by the line through the second half; and by how much it may seem to, since a
# reading is no steadier than that.
BOUNDS = {
    "resident MiB": (5.0, 1.5),
    "handles": (5.0, 5.0),  # without those of the connections of whoever visits
    "threads": (1.0, 1.0),
    "tasks": (5.0, 5.0),
    "tables MiB": (4.0, 1.0),
    "rows": (2000.0, 1000.0),
    "dead rows": (5000.0, 5000.0),
}
UNWELL = 0.001  # of all answers; where others use the disk, the database may be slow
# What may never be reached, and what it is.
CEILINGS = {
    "WAL MiB": (1100.0, "write-ahead log"),  # Postgres's own max_wal_size, and a segment or two
    # Of its connections' processes: up to 26, each of which grows to some 6 MiB and is made anew after half an hour.
    "Postgres MiB": (260.0, "Postgres, but for what its processes share"),
}


@dataclass
class Noted:
    """At one moment. `sizes` are of BOUNDS, and of what is only shown; `tables` name → rows, dead, bytes of heap and indexes."""

    at: float
    sizes: dict[str, float]
    tables: dict[str, tuple[int, int, int, int]]
    remembered: dict[str, float] = field(default_factory=dict)


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
    for name, (ceiling, what) in CEILINGS.items():
        highest = max(one.sizes[name] for one in noted)
        found.append((highest < ceiling, f"{what}: at most {highest:.0f} MiB"))
    count, unwell, wrong = answers
    found.append((unwell <= count * UNWELL, f"{unwell} answers of 503"))
    found.append((not wrong, f"{wrong} wrong answers of {count}"))
    found.append((not errors, f"{len(errors)} errors in the server's log"))
    return found

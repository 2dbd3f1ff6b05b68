"""Processor time and memory of other processes, from /proc; where there is none, nothing is known and None is said."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")
HAVE_PROC = (PROC / "self" / "stat").is_file()
TICK = 1 / os.sysconf("SC_CLK_TCK")
PPID, UTIME, STIME, CUTIME, CSTIME = 1, 11, 12, 13, 14  # places behind the closing bracket of the command


def server_seconds(pid: int) -> float | None:
    """User and system time of one process, all its threads together."""
    if not HAVE_PROC:
        return None
    fields = _fields(pid)
    return (int(fields[UTIME]) + int(fields[STIME])) * TICK


def loop_seconds(pid: int) -> float | None:
    """The same of its first thread alone, where the loop runs."""
    if not HAVE_PROC:
        return None
    fields = _fields(f"{pid}/task/{pid}")
    return (int(fields[UTIME]) + int(fields[STIME])) * TICK


def cluster_seconds(postmaster: int) -> float | None:
    """The same of a whole Postgres: the postmaster, every backend and worker, and those that have ended already."""
    if not HAVE_PROC:
        return None
    fields = _fields(postmaster)
    ticks = sum(int(fields[place]) for place in (UTIME, STIME, CUTIME, CSTIME))
    for child in children(postmaster):
        try:
            fields = _fields(child)
        except OSError:
            continue  # it ended in this moment; the postmaster's CUTIME has it
        ticks += int(fields[UTIME]) + int(fields[STIME])
    return ticks * TICK


def children(parent: int) -> list[int]:
    found = []
    for place in PROC.iterdir() if HAVE_PROC else ():
        if place.name.isdigit():
            try:
                if int(_fields(int(place.name))[PPID]) == parent:
                    found.append(int(place.name))
            except OSError:
                continue
    return found


def resident_mib(pid: int) -> float | None:
    """VmRSS."""
    if not HAVE_PROC:
        return None
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return None


def _fields(pid: int | str) -> list[str]:
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()

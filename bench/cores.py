"""Who runs where: the server alone on one core, the load on another, Postgres on the rest."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Sets of core numbers; empty ones where the system cannot pin."""

    server: frozenset[int]
    load: frozenset[int]
    postgres: frozenset[int]

    def __str__(self) -> str:
        if not self.server:
            return "nothing is pinned: this system cannot, or has a single core"
        return f"server on core {_shown(self.server)}, load on {_shown(self.load)}, Postgres on {_shown(self.postgres)}"


def plan() -> Cores:
    """With two cores Postgres shares the load's."""
    free = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(free) < 2:
        return Cores(frozenset(), frozenset(), frozenset())
    server, load, rest = free[-1], free[-2], free[:-2]
    return Cores(frozenset([server]), frozenset([load]), frozenset(rest or [load]))


def with_two(plan: Cores) -> Cores | None:
    """The same with one of Postgres's cores given to the server; None when Postgres has only one."""
    rest = sorted(plan.postgres)
    if len(rest) < 2:
        return None
    return Cores(plan.server | {rest[-1]}, plan.load, frozenset(rest[:-1]))


def pin(pids: Iterable[int], cores: frozenset[int]) -> None:
    """0 is this process. Threads and processes that these start later are pinned with them."""
    if cores and hasattr(os, "sched_setaffinity"):
        for pid in pids:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setaffinity(pid, cores)


def _shown(cores: frozenset[int]) -> str:
    return ",".join(str(core) for core in sorted(cores))

"""Threads for password hashes: few, and behind everything else where processors are short, so that logins never stall /mcp."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
MOST = 4  # threads of a process: some 200 hashes a second; each keeps the 19 MiB that a hash takes
NICENESS = 5  # a third of the time, while the loop wants all of it


class Hashing(asyncio.Semaphore):
    """As many slots as threads. A hash takes 20 ms of a processor and lets go of the interpreter meanwhile."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._threads = ThreadPoolExecutor(threads, "hashing", _step_back)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In one of the threads; whoever calls holds a slot."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def slots() -> int:
    """By the processors that this process may use."""
    return threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2)


def threads(processors: int) -> int:
    """One is left to the loop; and where there are many, so are there processes."""
    return min(MOST, max(1, processors - 1))


def _step_back() -> None:
    """Linux gives every thread a niceness of its own; elsewhere all threads of a process share one."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

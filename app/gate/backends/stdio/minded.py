"""Process groups that end with us, though we be killed: a minder is told of each (`minder.py`)."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

PROGRAM = Path(__file__).with_name("minder.py")


class Minded:
    """The groups of this process; the minder is there from the first one on."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._minder: Process | None = None
        self._making = asyncio.Lock()

    async def ready(self) -> None:
        """To be awaited before a process is made, so that it is minded from its first moment."""
        async with self._making:
            if self._minder is not None and self._minder.returncode is None:
                return
            # Not of our group, so that what ends us at a terminal leaves it its work.
            self._minder = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(PROGRAM), stdin=PIPE, stdout=DEVNULL, start_new_session=True, env={}
            )
            for group in self._groups:
                self._tell(f"+{group}\n")

    def add(self, group: int) -> None:
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def discard(self, group: int) -> None:
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    async def close(self) -> None:
        if self._minder is not None and self._minder.stdin is not None:
            self._minder.stdin.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._minder.wait(), 5)

    def _tell(self, line: str) -> None:
        if self._minder is not None and self._minder.stdin is not None and self._minder.returncode is None:
            self._minder.stdin.write(line.encode())

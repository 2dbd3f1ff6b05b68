"""One process at a time: an advisory lock on a file, which the system opens again when its holder is killed."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from app.bridge.faults import Fault

PAUSE = 0.02  # seconds between two looks; there is nothing to wait on that could also be cancelled
LONG = 3.0  # seconds; a refresh takes less, so somebody is being asked to sign in


class Turn:
    """`async with Turn(path, say):` for tasks of one process as well as for processes. `say` is called once when it takes long."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path, self._say = path, say
        self._file = -1

    async def __aenter__(self) -> Turn:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise Fault(f"{self._path} cannot be made: {fault.strerror}") from None
        try:
            began, said = time.monotonic(), False
            while not _taken(self._file):
                if not said and time.monotonic() > began + LONG:
                    self._say("waiting for another gatehouse, which is signing in")
                    said = True
                await asyncio.sleep(PAUSE)
        except BaseException:
            os.close(self._file)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


if sys.platform == "win32":
    import msvcrt

    def _taken(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _taken(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

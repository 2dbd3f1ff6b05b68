"""The error output of a server, in our log: lines of bounded length, so many a second, and no more than is good for us."""

from __future__ import annotations

import structlog

from app.gate.backends.stdio.allowance import Allowance
from app.gate.backends.stdio.lines import Lines, TooLong

LENGTH = 1000  # bytes of a line
LINES, LINES_AT_ONCE = 20, 100  # a second; at once
BYTES, BYTES_AT_ONCE = 1 << 20, 4 << 20  # read in a second; at once
log = structlog.get_logger("gatehouse.stdio")


class Said:
    """Of one process. Whoever says more than is read waits until it is, as it would at a slow terminal."""

    def __init__(self, resource: str, pid: int) -> None:
        self._resource = resource
        self._pid = pid
        self._lines = Lines(LENGTH)
        self._logged = Allowance(LINES, LINES_AT_ONCE)
        self._read = Allowance(BYTES, BYTES_AT_ONCE)
        self._left_out = 0

    def heard(self, data: bytes, now: float) -> float:
        """Returns the seconds that nothing more should be read."""
        lines = data.count(b"\n")
        if self._logged.charge(0, now):
            self._left_out += lines
            self._lines.forget()
        elif lines > 2 * LINES_AT_ONCE:
            self._left_out += lines - LINES_AT_ONCE
            self._log_each(b"\n".join(data.split(b"\n", LINES_AT_ONCE)[:-1]) + b"\n", now)
        else:
            self._log_each(data, now)
        return self._read.charge(len(data), now)

    def ended(self) -> None:
        if self._left_out:
            log.warning("left out of what it said", resource=self._resource, pid=self._pid, lines=self._left_out)

    def _log_each(self, data: bytes, now: float) -> None:
        for line in self._lines.fed(data):
            self._log(line.head if isinstance(line, TooLong) else line, now)

    def _log(self, line: bytes, now: float) -> None:
        text = printable(line)
        if not text:
            return
        if not self._logged.takes(1, now):
            self._left_out += 1
            return
        more = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        log.info("said", resource=self._resource, pid=self._pid, line=text, **more)


def printable(line: bytes) -> str:
    """Without what would move an operator's cursor."""
    text = line.decode(errors="replace").rstrip().replace("\t", " ")
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)

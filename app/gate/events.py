"""A stream of server-sent events cut into whole events, with a bound on what is kept (HTML "Server-sent events" §9.2.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

END = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")  # a line's end, and an empty line
LINE = re.compile(rb"\r\n|\n|\r")
LONGEST_END = 4


class TooLong(Exception):
    """An event is longer than what may be kept."""


class Event(NamedTuple):
    """`raw` as it came, with its end; `data` is what a client would take for its message."""

    raw: bytes
    data: bytes

    @property
    def has_id(self) -> bool:
        """Whether a client may ask for what comes after it."""
        return b"id" in self.raw and any(line == b"id" or line.startswith(b"id:") for line in _lines(self.raw))

    def saying(self, data: bytes) -> bytes:
        """The same event with other data, which has no line's end in it."""
        kept = [line for line in LINE.split(self.raw) if line and not _is_data(line)]
        return b"\n".join([*kept, b"data: " + data, b"", b""])


class Events:
    """Fed with chunks, gives whole events."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._kept = bytearray()
        self._searched = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Every event that is whole now. Raises TooLong."""
        self._kept += chunk
        if self._after_cr and self._kept:
            self._after_cr = False
            if self._kept.startswith(b"\n"):  # the other half of the end of the event before it
                del self._kept[:1]
                yield Event(b"\n", b"")
        while match := END.search(self._kept, self._searched):
            raw = bytes(self._kept[: match.end()])
            del self._kept[: match.end()]
            self._searched = 0
            self._after_cr = raw.endswith(b"\r") and not self._kept
            yield _event(raw)
        self._searched = max(0, len(self._kept) - LONGEST_END)
        if len(self._kept) > self._longest:
            raise TooLong

    def rest(self) -> bytes:
        """What came and is no whole event; kept no longer."""
        kept, self._searched = bytes(self._kept), 0
        self._kept.clear()
        return kept


def _event(raw: bytes) -> Event:
    return Event(raw, b"\n".join(line[5:].removeprefix(b" ") for line in _lines(raw) if _is_data(line)))


def _lines(raw: bytes) -> list[bytes]:
    return LINE.split(raw.removeprefix(b"\xef\xbb\xbf"))


def _is_data(line: bytes) -> bool:
    return line == b"data" or line.startswith(b"data:")

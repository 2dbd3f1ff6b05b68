"""Lines out of a stream, none longer than is allowed, and which request a line answers that cannot be read (MCP "stdio")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

ENDS = 300  # bytes kept of either end of a line that is too long
ANSWER = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"\s*:')
FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,\s*"(?:result|error)"\s*:')
LAST = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z')


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line of which only the ends were kept; `size` in bytes."""

    head: bytes
    tail: bytes
    size: int


class Lines:
    """What arrives in pieces, a line at a time. Holds at most `most` bytes, whatever arrives."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()
        self._head = b""  # of a line that is too long, while it lasts
        self._size = 0

    def fed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """The lines that end in `data`, without their ends."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if self._rest or self._size or end - start > self._most:
                self._keep(data[start:end])
                yield self._whole()
            else:
                yield data[start:end]
            start = end + 1
        if start < len(data):
            self._keep(data[start:])

    @property
    def skips(self) -> bool:
        """Whether the line that has begun is already too long."""
        return self._size > 0

    def forget(self) -> None:
        """What has begun and not ended."""
        self._rest, self._head, self._size = bytearray(), b"", 0

    def _keep(self, piece: bytes) -> None:
        self._rest += piece
        if self._size:
            self._size += len(piece)
            del self._rest[:-ENDS]
        elif len(self._rest) > self._most:
            self._head, self._size = bytes(self._rest[:ENDS]), len(self._rest)
            self._rest = self._rest[-ENDS:]  # a new one: the old one keeps its memory

    def _whole(self) -> bytes | TooLong:
        line: bytes | TooLong = bytes(self._rest)
        if self._size:
            line = TooLong(self._head, bytes(self._rest), self._size)
        self.forget()
        return line


def answered_by(head: bytes, tail: bytes) -> int | None:
    """The id of the request that this line answers, read from its ends alone: there, and only there, what looks like an id
    is one. None for a request, a notification, or what cannot be told."""
    found = FIRST.match(head)
    if found is None and ANSWER.match(head):
        found = LAST.search(tail)
    return int(found[1]) if found else None

"""The end of a stream of events that ended too early: its caller hears of it as an event (HTML "Server-sent events" §9.2.6)."""

from __future__ import annotations

ENDS = (b"\n", b"\r")
LONGEST = 4  # of "\nid:"


class Tail:
    """What must be known of all that was passed on, in a few bytes, whatever the stream's length."""

    def __init__(self) -> None:
        self._last = b"\n"
        self.can_resume = False  # an event had an id: the client may ask for the rest by itself (Last-Event-ID)

    def passed(self, chunk: bytes) -> None:
        seam = self._last + chunk[:LONGEST]
        if not self.can_resume:
            self.can_resume = any(end + b"id:" in text for text in (seam, chunk) for end in ENDS)
        self._last = (self._last + chunk)[-LONGEST:] if len(chunk) < LONGEST else chunk[-LONGEST:]

    @property
    def last(self) -> bytes:
        return self._last[-1:]

    def closing(self, data: bytes) -> bytes:
        """One more event with this data. What was cut before it becomes an event of a kind that nobody listens for: without
        an empty line it would be part of this one, with one the client would read half a message."""
        return b"\nevent: cut\n\nevent: message\ndata: " + data + b"\n\n"

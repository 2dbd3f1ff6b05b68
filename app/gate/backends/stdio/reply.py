"""The answer to one POST: JSON when one message comes, a stream of events when more do (MCP transports "Streamable HTTP")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.types import Send

EVENTS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx keeps them back otherwise
]
JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class Reply:
    """`takes_events` and `takes_json` are what the caller's Accept header says."""

    def __init__(self, send: Send, *, takes_events: bool, takes_json: bool) -> None:
        self._send = send
        self._takes_events = takes_events
        self._takes_json = takes_json
        self.is_stream = False

    async def event(self, message: Any) -> None:
        """One that comes before the last. Whoever takes no events does without."""
        if self._takes_events:
            await self._open()
            await self._part(_event(message))

    async def keep_alive(self) -> None:
        """A comment, so that nobody in between takes the silence for the end (HTML "Server-sent events" §9.2.7)."""
        if self._takes_events:
            await self._open()
            await self._part(b":\n\n")

    async def last(self, message: Any, status: int = 200, headers: Mapping[bytes, bytes] | None = None) -> None:
        """The response itself; the status is for whom it still reaches."""
        if self.is_stream or (self._takes_events and not self._takes_json and status == 200):
            await self._open()
            await self._part(_event(message), more=False)
            return
        body = to_json(message)
        start = [(b"content-length", b"%d" % len(body)), *JSON, *(headers or {}).items()]
        await self._send({"type": "http.response.start", "status": status, "headers": start})
        await self._part(body, more=False)

    async def close(self) -> None:
        """Without a response: nobody expects one."""
        if self.is_stream:
            await self._part(b"", more=False)

    async def bare(self, status: int, headers: Mapping[bytes, bytes] | None = None) -> None:
        """No body."""
        start = [(b"content-length", b"0"), *(headers or {}).items()]
        await self._send({"type": "http.response.start", "status": status, "headers": start})
        await self._part(b"", more=False)

    async def _open(self) -> None:
        if not self.is_stream:
            self.is_stream = True
            await self._send({"type": "http.response.start", "status": 200, "headers": EVENTS})

    async def _part(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _event(message: Any) -> bytes:
    return b"event: message\ndata: " + to_json(message) + b"\n\n"

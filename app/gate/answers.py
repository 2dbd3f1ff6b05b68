"""What comes back through the guard: lists of tools filtered for their caller, calls that worked counted (MCP server/tools)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from pydantic_core import from_json, to_json
from starlette.types import Message, Send

from app.gate.events import Events, TooLong
from app.web.http import request_id

LIST_BYTES = 4 * 1024 * 1024  # of a list of tools, which is read as a whole
LOOK_BYTES = 64 * 1024  # of the answer to a call: a longer one is no error message
SSE, JSON = b"text/event-stream", b"application/json"
UNREADABLE = -32603

log = structlog.get_logger("gatehouse.gate")


def kind_of(start: Message) -> bytes:
    """The media type of an answer, without parameters."""
    return (
        next((value for name, value in start["headers"] if name.lower() == b"content-type"), b"")
        .split(b";")[0]
        .strip()
        .lower()
    )


def is_coded(start: Message) -> bool:
    return any(name.lower() == b"content-encoding" and value != b"identity" for name, value in start["headers"])


class Filtered:
    """Hides tools in every message of the answer, whichever of them is the list. Fails closed: what cannot be read is not
    passed on. Of a stream only one event is kept at a time, of another answer at most LIST_BYTES."""

    def __init__(self, send: Send, shows: Callable[[object], bool], identifier: object) -> None:
        self._send = send
        self._shows = shows
        self._id = identifier
        self._start: Message | None = None
        self._events: Events | None = None
        self._body = bytearray()
        self._is_over = False

    async def __call__(self, message: Message) -> None:
        if self._is_over:
            return
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body":
            chunk, more = message.get("body", b""), message.get("more_body", False)
            await (self._streamed(chunk, more) if self._events else self._whole(chunk, more))
        else:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        if kind_of(start) == SSE and not is_coded(start):
            self._events = Events(LIST_BYTES)
            await self._send({**start, "headers": without_length(start)})
        else:
            self._start = start  # its length is not known yet

    async def _streamed(self, chunk: bytes, more: bool) -> None:
        assert self._events is not None
        passed = bytearray()
        try:
            for event in self._events.feed(chunk):
                data = self._seen(event.data) if event.data else event.data
                passed += event.raw if data is event.data else event.saying(data)
        except (TooLong, ValueError) as fault:
            log.warning("list of tools not passed on", why=str(fault) or type(fault).__name__)
            self._is_over, more = True, False
            passed += b"event: message\ndata: " + to_json(_unreadable(self._id)) + b"\n\n"
        await self._send({"type": "http.response.body", "body": bytes(passed), "more_body": more})

    async def _whole(self, chunk: bytes, more: bool) -> None:
        assert self._start is not None
        self._body += chunk
        if more and len(self._body) <= LIST_BYTES:
            return
        start, body = self._start, bytes(self._body)
        try:
            if len(body) > LIST_BYTES or (body and is_coded(start)):
                raise ValueError("too long, or compressed")
            if body and (start["status"] < 400 or kind_of(start) == JSON):
                body = self._seen(body)
        except ValueError as fault:
            log.warning("list of tools not passed on", why=str(fault)[:200])
            start = {**start, "status": 502, "headers": [(b"content-type", JSON)]}
            body = to_json(_unreadable(self._id))
        self._is_over = True
        length = (b"content-length", str(len(body)).encode())
        await self._send({**start, "headers": [*without_length(start), length]})
        await self._send({"type": "http.response.body", "body": body})

    def _seen(self, data: bytes) -> bytes:
        """As the caller may see it: the same object where nothing changes. Raises ValueError."""
        message = from_json(data)
        result = message.get("result") if isinstance(message, dict) else None
        if isinstance(message, list):
            raise ValueError("a batch")
        if not isinstance(result, dict) or not isinstance(result.get("tools"), list):
            return data
        result["tools"] = [tool for tool in result["tools"] if isinstance(tool, dict) and self._shows(tool.get("name"))]
        if "cacheScope" in result:
            result["cacheScope"] = "private"  # MCP 2026-07-28 "Caching": it is this caller's
        return to_json(message)


class Counted:
    """Calls `worked` when the answer to a call is no error, having looked at LOOK_BYTES of it at most; passes everything on."""

    def __init__(self, send: Send, worked: Callable[[], None]) -> None:
        self._send = send
        self._worked = worked
        self._events: Events | None = None
        self._body = bytearray()
        self._looks = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._looks = message["status"] == 200
            if kind_of(message) == SSE:
                self._events = Events(LOOK_BYTES)
        elif self._looks and message["type"] == "http.response.body":
            chunk, more = message.get("body", b""), message.get("more_body", False)
            self._streamed(chunk) if self._events else self._whole(chunk, more)
        await self._send(message)

    def _streamed(self, chunk: bytes) -> None:
        assert self._events is not None
        try:
            for event in self._events.feed(chunk):
                if b'"result"' in event.data:
                    self._judge(event.data)
        except TooLong:
            self._count()

    def _whole(self, chunk: bytes, more: bool) -> None:
        self._body += chunk
        if len(self._body) > LOOK_BYTES:
            self._count()
        elif not more:
            self._judge(bytes(self._body))

    def _judge(self, data: bytes) -> None:
        try:
            message = from_json(data)
        except ValueError:
            return
        result = message.get("result") if isinstance(message, dict) else None
        if isinstance(result, dict) and not result.get("isError"):
            self._count()

    def _count(self) -> None:
        if self._looks:
            self._looks = False
            self._body.clear()
            self._worked()


def without_length(start: Message) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]


def _unreadable(identifier: object) -> dict[str, Any]:
    error = {
        "code": UNREADABLE,
        "message": "the server behind this address did not answer with a list that can be read",
        "data": {"request_id": request_id.get()},
    }
    return {"jsonrpc": "2.0", "id": identifier, "error": error}

"""The answer to a call that was paid for: with its receipt when the tool worked, and the payment given back when it did not."""

from __future__ import annotations

from typing import Any

import structlog
from pydantic_core import from_json, to_json
from starlette.types import Message, Send

from app.gate.answers import JSON, SSE, is_coded, kind_of, without_length
from app.gate.events import Events, TooLong
from app.gate.passage import Passage

MOST_BYTES = 4 * 1024 * 1024  # of an answer, or an event, that is read as a whole; a longer one is no error message
log = structlog.get_logger("gatehouse.selling")


class Receipted:
    """Whole answers are kept back until they can be judged. Of a stream every event is passed on as it comes; the receipt is in
    the one that brings the result, since before it nobody knows whether there will be one."""

    def __init__(self, send: Send, passage: Passage) -> None:
        self._send = send
        self._passage = passage
        self._start: Message | None = None
        self._events: Events | None = None
        self._body = bytearray()
        self._is_judged = False
        self._is_resumable = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._events is not None:
            await self._streamed(self._events, message)
        elif self._start is not None:
            await self._whole(self._start, message)
        else:
            await self._send(message)

    async def ended(self) -> None:
        """No result came, and none will. But if an event with an id was passed on, the caller can ask for what comes after it
        (MCP transport "Resumability"), without paying: then this was the call that was paid for."""
        if not self._is_resumable:
            await self.failed()
        elif not self._is_judged:
            self._is_judged = True
            await self._passage.worked({})

    async def failed(self) -> None:
        """An error came: the payment is good once more. Once."""
        if not self._is_judged:
            self._is_judged = True
            try:
                await self._passage.undo()
            except Exception as fault:  # the caller is answered all the same
                log.error("payment not given back", error=type(fault).__name__)

    async def _begin(self, start: Message) -> None:
        kind = kind_of(start)
        if start["status"] >= 400:
            await self.failed()
        elif kind == SSE and not is_coded(start):
            self._events = Events(MOST_BYTES)
            start = {**start, "headers": without_length(start)}
        elif kind == JSON and not is_coded(start):
            self._start = start
            return
        else:  # nothing that can be looked into
            self._is_judged = True
            receipt = await self._passage.worked({})
            start = {**start, "headers": [*start["headers"], *_raw(receipt.headers)]}
        await self._send(start)

    async def _streamed(self, events: Events, message: Message) -> None:
        more, passed = message.get("more_body", False), bytearray()
        try:
            for event in events.feed(message.get("body", b"")):
                self._is_resumable = self._is_resumable or event.has_id
                data = await self._seen(event.data) if not self._is_judged else event.data
                passed += event.raw if data is event.data else event.saying(data)
        except TooLong:
            passed += events.rest()
            if not self._is_judged:
                self._is_judged = True
                await self._passage.worked({})
        if not more:
            passed += events.rest()
            await self.ended()
        await self._send({**message, "body": bytes(passed)})

    async def _seen(self, data: bytes) -> bytes:
        """The event's data; the same object where it brings no result."""
        answer = _read(data) if b'"result"' in data or b'"error"' in data else None
        if answer is None:
            return data
        if not _worked(answer):
            await self.failed()
            return data
        self._is_judged = True
        return _with(answer, (await self._passage.worked(_meta(answer))).meta)

    async def _whole(self, start: Message, message: Message) -> None:
        self._body += message.get("body", b"")
        more = message.get("more_body", False)
        if more and len(self._body) <= MOST_BYTES:
            return
        body, headers = bytes(self._body), without_length(start)
        answer = None if more else _read(body)
        if answer is not None and not _worked(answer):
            await self.failed()
        else:
            self._is_judged = True
            receipt = await self._passage.worked(_meta(answer) if answer else {})
            headers += _raw(receipt.headers)
            if answer is not None:
                body = _with(answer, receipt.meta)
        if not more:
            headers.append((b"content-length", b"%d" % len(body)))
        self._start = None  # what still comes is passed on
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _read(body: bytes) -> dict[str, Any] | None:
    """None for what is no JSON-RPC answer."""
    try:
        message = from_json(body)
    except ValueError:
        return None
    return message if isinstance(message, dict) and ("result" in message or "error" in message) else None


def _worked(answer: dict[str, Any]) -> bool:
    """Not when the tool wants to be called once more, with what it asks for (MCP 2026-07-28 `input_required`)."""
    result = answer.get("result")
    return isinstance(result, dict) and not result.get("isError") and result.get("resultType") != "input_required"


def _meta(answer: dict[str, Any]) -> dict[str, Any]:
    meta = answer["result"].get("_meta")
    return meta if isinstance(meta, dict) else {}


def _with(answer: dict[str, Any], meta: dict[str, Any]) -> bytes:
    answer["result"]["_meta"] = {**_meta(answer), **meta}
    return to_json(answer)


def _raw(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]

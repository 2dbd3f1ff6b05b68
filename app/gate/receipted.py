"""The answer to a call that was paid for: with its receipt when the tool worked, and the payment given back when it did not."""

from __future__ import annotations

from typing import Any

import structlog
from pydantic_core import from_json, to_json
from starlette.types import Message, Send

from app.gate.toll import Passage

MOST_BYTES = 4 * 1024 * 1024  # of an answer that is read as a whole; a longer one is no error message
LOOK_BYTES = 256 * 1024  # of a stream
JSON = b"application/json"
log = structlog.get_logger("gatehouse.selling")


class Receipted:
    """Whole answers are kept back until they can be judged; a stream is passed on as it comes, and judged at its end."""

    def __init__(self, send: Send, passage: Passage) -> None:
        self._send = send
        self._passage = passage
        self._start: Message | None = None
        self._body = bytearray()
        self._is_stream = False
        self._is_over = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_stream = not any(
                name.lower() == b"content-type" and value.split(b";")[0].strip().lower() == JSON
                for name, value in message["headers"]
            )
            if self._is_stream:
                message = {**message, "headers": [*message["headers"], *_raw(self._passage.receipt().headers)]}
                await self._send(message)
            self._start = message
        elif message["type"] != "http.response.body" or self._is_over:
            await self._send(message)
        elif self._is_stream:
            await self._streamed(message)
        else:
            await self._whole(message)

    async def failed(self) -> None:
        """No answer came, or an error: the payment is good once more. Once."""
        if not self._is_over:
            self._is_over = True
            try:
                await self._passage.undo()
            except Exception as fault:  # the caller is answered all the same
                log.error("payment not given back", error=type(fault).__name__)

    async def _streamed(self, message: Message) -> None:
        if len(self._body) < LOOK_BYTES:
            self._body += message.get("body", b"")
        if not message.get("more_body", False):
            assert self._start is not None
            answer = _last_answer(bytes(self._body))
            if self._start["status"] >= 400 or (answer is not None and not _worked(answer)):
                await self.failed()
            self._is_over = True
        await self._send(message)

    async def _whole(self, message: Message) -> None:
        assert self._start is not None
        self._body += message.get("body", b"")
        more = message.get("more_body", False)
        if more and len(self._body) <= MOST_BYTES:
            return
        start, body = self._start, bytes(self._body)
        answer = _read(body) if not more else None
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        if start["status"] >= 400 or (answer is not None and not _worked(answer)):
            await self.failed()
        else:
            receipt = self._passage.receipt()
            headers += _raw(receipt.headers)
            if answer is not None:
                result = answer["result"]
                meta = result.get("_meta")
                result["_meta"] = {**(meta if isinstance(meta, dict) else {}), **receipt.meta}
                body = to_json(answer)
        self._is_over = True
        if not more:
            headers.append((b"content-length", b"%d" % len(body)))
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
    result = answer.get("result")
    return isinstance(result, dict) and not result.get("isError")


def _last_answer(stream: bytes) -> dict[str, Any] | None:
    """Of server-sent events."""
    answers = [_read(line[5:]) for line in stream.splitlines() if line.startswith(b"data:")]
    return next((answer for answer in reversed(answers) if answer is not None), None)


def _raw(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]

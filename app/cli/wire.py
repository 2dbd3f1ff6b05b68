"""HTTP/1.1 as it comes off the wire, before anything is called: how long and how large a head may be, and its form (RFC 9112 §3.2, §5)."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.cli.one_write import OneWrite

HEAD_SECONDS = 10.0  # and for the rest of a body that was answered already
HEAD_BYTES = 16 * 1024  # request line and fields
FIELDS = 100
MOST_BETWEEN = 1024 * 1024  # more than one read: in it much of a body may have come before
TOO_LARGE = b'{"error":"invalid_request","error_description":"the head of the request is too large"}'


class Wire(HttpToolsProtocol):
    """uvicorn's, which by itself would wait for ever for the end of a head, of any size, and would take any form of target."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_begun = False
        self._head_bytes = 0  # of a head whose end has not come
        self._late: asyncio.TimerHandle | None = None
        self._between = 0  # bytes since the last of a body came: its framing, and the trailer behind it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(OneWrite(transport))  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began_before, self._between = self._head_begun, self._between + len(data)
        super().data_received(data)
        if self._between > MOST_BETWEEN and not self._head_begun and not self.transport.is_closing():
            super().send_400_response("")
        if self._head_begun and not self.transport.is_closing():
            self._head_bytes = self._head_bytes + len(data) if began_before else self._size()
            if self._is_too_large():
                self.send_400_response("")
            elif self._late is None:
                self._wait()
        elif self._late is None and self._is_idle():
            self._wait()  # whatever came was no request, and ended uvicorn's own wait for the next one

    def on_body(self, body: bytes) -> None:
        self._between = 0
        super().on_body(body)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_begun, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._head_begun, self._head_bytes, self._between = False, self._size(), 0
        self._came()
        if self._is_too_large():
            raise ValueError("the head is too large")
        if not self.url.startswith(b"/") and self.url != b"*":
            raise ValueError("neither the origin-form nor the asterisk-form")
        super().on_headers_complete()
        self.headers = []  # the scope has the others; what comes behind a body is no field of the head (RFC 9110 §6.5.1)

    def on_message_complete(self) -> None:
        self._came()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()
        if self.cycle.more_body and not self.pipeline and not self.transport.is_closing():
            self._wait()  # for the rest of a body that nobody wanted

    def send_400_response(self, msg: str) -> None:
        """What the parser refused, or we did."""
        self._head_begun = False
        if not self._is_too_large():
            super().send_400_response(msg)
            return
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(TOO_LARGE)
        self.transport.write(STATUS_LINE[431] + head + TOO_LARGE)
        self.transport.close()

    def _is_idle(self) -> bool:
        answered = self.cycle is None or self.cycle.response_complete
        return answered and not self.pipeline and not self.transport.is_closing()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _is_too_large(self) -> bool:
        return self._head_bytes > HEAD_BYTES or (self.headers is not None and len(self.headers) > FIELDS)

    def _wait(self) -> None:
        self._came()
        self._late = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()

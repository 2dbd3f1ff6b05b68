"""One HTTP/1.1 connection to a backend, on asyncio and httptools: an answer comes in pieces, no faster than they are taken (RFC 9112).

Measured for one small call with keep-alive, CPU of this side: httpx2 490 µs, httpcore2 345 µs, this 20 µs; the guard has 100.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

import httptools

from app.gate.backends.faults import BackendFault, BrokenOff, Header, Nonsense

HEAD_BYTES = 64 * 1024
WAITING_BYTES = 64 * 1024  # of a body: from then on the backend has to wait until the caller has taken them
IDLE_SECONDS = 4.0  # less than the 5 s after which Node and uvicorn close
NAMED_SECONDS = re.compile(rb"timeout=([0-9]{1,4})")


class Connection(asyncio.Protocol):
    """Carries one exchange after the other. `status` and `headers`, names in lower case, are those of the present answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: list[bytes] = []
        self._waiting = 0  # bytes in them
        self._fault: BackendFault | None = None
        self._is_paused = self._is_alive = self._has_head = False
        self._is_over = True
        self._ends_with_connection = self._keeps = False
        self._head_bytes = 0
        self.status = 0
        self.headers: list[Header] = []
        self.asked = 0  # requests so far
        self.reads = 0  # how often something came in
        self.idle_seconds = IDLE_SECONDS
        self.idle_since = 0.0

    @property
    def is_reusable(self) -> bool:
        """The answer is complete, and both sides will have another exchange."""
        return self._is_alive and self._is_over and self._keeps and self._fault is None and not self._chunks

    @property
    def is_over(self) -> bool:
        """All of the answer has come, and has been taken."""
        return self._is_over and not self._chunks

    @property
    def is_drained(self) -> bool:
        return not self._chunks

    @property
    def has_begun(self) -> bool:
        """Anything of the present answer has come."""
        return self._head_bytes > 0

    def send(self, request: bytes) -> None:
        """Begins an exchange."""
        assert self._is_over
        self._parser = httptools.HttpResponseParser(self)
        self._has_head = self._is_over = self._keeps = self._ends_with_connection = False
        self._head_bytes = 0
        self.headers = []
        self.asked += 1
        if self._transport is None or self._transport.is_closing():
            self.fail(BrokenOff("closed before anything was sent"))
        else:
            self._transport.write(request)

    async def head(self) -> None:
        """Until status and headers are there. Raises the fault."""
        while not self._has_head:
            if self._fault is not None:
                raise self._fault
            await self._something()

    async def chunk(self) -> bytes:
        """What has come of the body since the last time; empty at its end. Raises the fault, after all that came before it."""
        while not self._chunks:
            if self._is_over:
                return b""
            if self._fault is not None:
                raise self._fault
            await self._something()
        taken = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._waiting = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return taken

    def insert(self, chunk: bytes) -> None:
        """Something of our own between what came and what comes."""
        self._chunks.append(chunk)
        self._wake()

    def fail(self, fault: BackendFault) -> None:
        """Ends the exchange, and with it the connection, on which the rest would follow."""
        if self._fault is None:
            self._fault = fault
        self.close()
        self._wake()

    def close(self) -> None:
        self._is_alive = False
        if self._transport is not None:
            self._transport.abort()

    async def _something(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._is_alive = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_alive = False
        if not self._is_over:
            if self._has_head and self._ends_with_connection and exc is None:
                self._is_over = True
            elif self._fault is None:
                self._fault = BrokenOff(
                    f"closed the connection: {type(exc).__name__}" if exc else "closed the connection"
                )
        self._transport = None
        self._wake()

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        if self._is_over or self._parser is None:  # nobody asked
            self.close()
            return
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as fault:
            self.fail(Nonsense(f"not HTTP/1.1: {fault}"))
            return
        if not self._has_head and self._head_bytes > HEAD_BYTES:
            self.fail(Nonsense("headers without an end"))
        if self._waiting > WAITING_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self._is_over:
            self._keeps, self._is_alive = False, False  # a second answer to one question: who knows to what

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:  # RFC 9110 §15.2: the answer is still to come
            self.headers = []
            return
        self.status, self._has_head = status, True
        self._keeps = self._parser.should_keep_alive()
        framed = False
        for name, value in self.headers:
            if name in (b"content-length", b"transfer-encoding"):
                framed = True
            elif name == b"keep-alive" and (found := NAMED_SECONDS.search(value)):
                self.idle_seconds = min(IDLE_SECONDS, int(found[1]) - 1.0)
        self._ends_with_connection = not framed and status not in (204, 304)

    def on_body(self, body: bytes) -> None:
        if not self._is_over:
            self._chunks.append(body)
            self._waiting += len(body)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_over = True

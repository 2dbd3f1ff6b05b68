"""As much of a WebSocket as talking to a relay takes (RFC 6455): text messages, pings answered, one connection for one question."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
MOST_BYTES = 1024 * 1024


class NoWebSocket(Exception):
    """It could not be opened, or ended."""


def accepted(key: bytes) -> bytes:
    """What a server answers to this key (§4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def frame(kind: int, payload: bytes, *, masked: bool) -> bytes:
    """§5.2; a client masks what it sends."""
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head = bytes([0x80 | kind, bit | len(payload)])
    elif len(payload) < 65536:
        head = bytes([0x80 | kind, bit | 126]) + len(payload).to_bytes(2, "big")
    else:
        head = bytes([0x80 | kind, bit | 127]) + len(payload).to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    long = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(long, "big")).to_bytes(len(payload), "big")


async def read_frame(reader: asyncio.StreamReader) -> tuple[bool, int, bytes]:
    """Whether it is the last of its message, its kind, its payload. Raises NoWebSocket for one that is too long."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    if length > MOST_BYTES:
        raise NoWebSocket("the message is too long")
    mask = await reader.readexactly(4) if second & 0x80 else b""
    payload = await reader.readexactly(length)
    return bool(first & 0x80), first & 0x0F, _masked(payload, mask) if mask else payload


class WebSocket:
    """An open one; whoever opens it closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @staticmethod
    async def open(url: str) -> WebSocket:
        """ws:// or wss://. Raises NoWebSocket and OSError."""
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        port = parts.port or (443 if secure else 80)
        context = ssl.create_default_context() if secure else None
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
        key = base64.b64encode(os.urandom(16))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        asked = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", "Upgrade: websocket"]
        asked += ["Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key.decode()}", "", ""]
        try:
            writer.write("\r\n".join(asked).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101") or accepted(key) not in head:
                raise NoWebSocket("the relay does not speak WebSocket")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.close()
            raise NoWebSocket("the relay does not answer") from None
        except BaseException:  # it took too long, among others
            writer.close()
            raise
        return WebSocket(reader, writer)

    async def send(self, text: str) -> None:
        self._writer.write(frame(TEXT, text.encode(), masked=True))
        await self._writer.drain()

    async def receive(self) -> str:
        """The next text message. Raises NoWebSocket when it was closed."""
        message = b""
        try:
            while True:
                last, kind, payload = await read_frame(self._reader)
                if kind == PING:
                    self._writer.write(frame(PONG, payload, masked=True))
                elif kind == CLOSE:
                    raise NoWebSocket("the relay hung up")
                elif kind < CLOSE:
                    message += payload
                    if len(message) > MOST_BYTES:
                        raise NoWebSocket("the message is too long")
                    if last:
                        return message.decode("utf-8", "replace")
        except (asyncio.IncompleteReadError, OSError):
            raise NoWebSocket("the relay hung up") from None

    async def close(self) -> None:
        with suppress(OSError, TimeoutError):
            self._writer.write(frame(CLOSE, b"\x03\xe8", masked=True))
            self._writer.close()
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

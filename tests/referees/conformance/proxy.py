"""A loopback proxy that adds `Authorization` to requests that have none, for referees that cannot send one themselves."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HEAD_BYTES = 64 * 1024


class Proxy:
    """Every other byte is passed on as it came, `Host` included; one request for each connection, so that no body need be understood."""

    def __init__(self, token: str) -> None:
        self.onward = 0  # the port of the server that is asked next
        self.token = token

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: the head with the header in it, then both directions until either side ends."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self.onward)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            writer.close()
            return
        first, *lines = head[:-4].split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"connection:", b"keep-alive:"))]
        has_one = any(line.lower().startswith(b"authorization:") for line in kept)
        if not has_one:
            kept.append(f"Authorization: Bearer {self.token}".encode())
        onward.write(b"\r\n".join([first, *kept, b"Connection: close", b"", b""]))
        there = asyncio.create_task(_pass_on(reader, onward))
        back = asyncio.create_task(_pass_on(onward_reader, writer))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        if not back.done() and reader.at_eof():
            onward.close()  # the client went away: a server that streams has to hear of it
        await asyncio.wait({back})
        there.cancel()
        for end in (onward, writer):
            end.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(HEAD_BYTES):
            target.write(data)
            await target.drain()
    except OSError:
        pass


@contextmanager
def proxied(listener: socket.socket, token: str) -> Iterator[Proxy]:
    """A proxy on this socket, in a thread of its own."""
    loop = asyncio.new_event_loop()
    proxy = Proxy(token)
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, sock=listener, limit=HEAD_BYTES))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)

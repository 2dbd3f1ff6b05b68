"""RFC 9112: answers on one connection, each whole, in order, and in no more writes than they need."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from urllib.parse import urlsplit

from app.cli.http1 import OneWrite
from tests.conftest import House

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Written(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.writes.append(b"closed")

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def test_a_head_leaves_with_the_body_that_it_announces() -> None:
    written = Written()
    transport = OneWrite(written)
    for part in (HEAD, b"ok", HEAD, b"o", b"k"):
        transport.write(part)
    assert written.writes == [HEAD + b"ok", HEAD + b"o", b"k"]


def test_the_head_of_a_stream_waits_for_nothing() -> None:
    written = Written()
    transport = OneWrite(written)
    transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    assert len(written.writes) == 1


def test_what_is_held_is_written_before_the_connection_closes() -> None:
    written = Written()
    transport = OneWrite(written)
    transport.write(HEAD)
    transport.close()
    assert written.writes == [HEAD, b"closed"]


def test_requests_sent_at_once_are_answered_in_order(house: House) -> None:
    """§9.3.2. HEAD has a head and no body."""
    there = urlsplit(house.url)
    asked = (("HEAD", "/healthz"), ("GET", "/nowhere"), ("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/readyz"))
    sent = "".join(f"{method} {path} HTTP/1.1\r\nHost: {there.netloc}\r\n\r\n" for method, path in asked)
    with closing(socket.create_connection(("127.0.0.1", there.port or 0), 10)) as connection:
        connection.sendall(sent.encode())
        stream = connection.makefile("rb")
        answers = []
        for method, _ in asked:
            status, length = int(stream.readline().split()[1]), 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            answers.append((status, stream.read(length) if method == "GET" else b""))
    assert [status for status, _ in answers] == [200, 404, 200, 200, 200]
    assert answers[2][1] == b'{"status":"ok"}'

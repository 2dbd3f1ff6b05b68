"""A real server, a few thousand connections of whatever is no HTTP, or half of it, or far too much: it lives, says no 500, stays small."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from bench.servers import free_port
from tests.stories.test_starting import Running, Start, start

pytestmark = pytest.mark.long

__all__ = ["start"]
MANY = int(os.environ.get("GARBAGE", "3000"))
PATHS = (
    "/mcp",
    "/token",
    "/authorize",
    "/register",
    "/login",
    "/.well-known/jwks.json",
    "/api-keys",
    "/admin/api/users",
    "/nowhere",
)
KINDS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "\xff",
    "",
)
BODIES = (
    b"{",
    b"[" * 2000,
    b"\x00" * 100,
    b"a=%zz&a=%00&\xff",
    b'{"jsonrpc":"2.0","id":1,"method":"initialize"}',
    b"9" * 5000,
    b"",
)


class Stranger:
    """Of one seed: the same each time."""

    def __init__(self, seed: int, host: str) -> None:
        self._dice = random.Random(seed)
        self._host = host
        self.kind: Callable[[], list[bytes]] = self._dice.choice(
            [
                self.noise,
                self.half,
                self.huge,
                self.many,
                self.old,
                self.absolute,
                self.coded,
                self.wrong_length,
                self.odd,
            ]
        )

    def head(self, line: str, *fields: str) -> bytes:
        return "\r\n".join([line, f"Host: {self._host}", *fields, "", ""]).encode("latin-1")

    def path(self) -> str:
        return self._dice.choice(PATHS)

    def noise(self) -> list[bytes]:
        return [self._dice.randbytes(self._dice.randrange(1, 4000)) for _ in range(2)]

    def half(self) -> list[bytes]:
        """And then the caller leaves."""
        whole = (
            self.head(f"POST {self.path()} HTTP/1.1", "Content-Type: application/json", "Content-Length: 40")
            + b"{" * 40
        )
        return [whole[: self._dice.randrange(1, len(whole))]]

    def huge(self) -> list[bytes]:
        field = "X-Huge: " + "a" * self._dice.choice([7_000, 20_000, 70_000, 300_000])
        fields = [f"X-{number}: {number}" for number in range(self._dice.choice([10, 90, 200, 2000]))]
        target = self.path() + "?" + "a=b&" * self._dice.choice([0, 300, 30_000])
        return [self.head(f"GET {target} HTTP/1.1", *self._dice.choice([[field], fields, []]))]

    def many(self) -> list[bytes]:
        """Without waiting for an answer, nor reading any."""
        one = self.head(f"GET {self.path()} HTTP/1.1")
        return [one * self._dice.choice([10, 100, 400])]

    def old(self) -> list[bytes]:
        version = self._dice.choice(["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9", "ICY", ""])
        fields = self._dice.choice(
            [[], ["Connection: keep-alive"], ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"]]
        )
        return [self.head(f"GET {self.path()} {version}", *fields)]

    def absolute(self) -> list[bytes]:
        place = self._dice.choice(
            [
                "http://evil.example",
                f"http://{self._host}",
                "//x",
                "ftp://y",
                "*",
                "evil.example:443",
                "http://[::1",
                "\\\\",
            ]
        )
        method = self._dice.choice(["GET", "POST", "CONNECT", "OPTIONS", "PRI", "TRACE"])
        return [self.head(f"{method} {place}{self.path()} HTTP/1.1")]

    def coded(self) -> list[bytes]:
        coding = self._dice.choice(
            ["chunked", "gzip, chunked", "chunked, chunked", "CHUNKED", "identity", "", "chunked;q=1", "\x0bchunked"]
        )
        chunk = self._dice.choice(
            [
                b"5\r\nhello\r\n0\r\n\r\n",
                b"-1\r\n",
                b"ffffffffffffffff1\r\n",
                b"5;" + b"x" * 9000 + b"\r\nhello\r\n0\r\n\r\n",
                b"5\nhello\n0\n\n",
                b"zz\r\n",
            ]
        )
        kind = self._dice.choice(KINDS)
        return [
            self.head(f"POST {self.path()} HTTP/1.1", f"Content-Type: {kind}", f"Transfer-Encoding: {coding}"),
            chunk,
        ]

    def wrong_length(self) -> list[bytes]:
        body = self._dice.choice(BODIES)
        length = self._dice.choice([len(body), len(body) + 5, max(0, len(body) - 5), -1, 10**30])
        kind = self._dice.choice(KINDS)
        return [self.head(f"POST {self.path()} HTTP/1.1", f"Content-Type: {kind}", f"Content-Length: {length}"), body]

    def odd(self) -> list[bytes]:
        """Well-formed, and nothing that anybody would send."""
        name = self._dice.choice(
            [
                "Authorization",
                "Cookie",
                "Accept",
                "Accept-Language",
                "Origin",
                "Content-Encoding",
                "Traceparent",
                "DPoP",
                "Range",
                "Expect",
                "Mcp-Session-Id",
                "Payment-Signature",
                "Forwarded",
                "X-Forwarded-For",
            ]
        )
        value = self._dice.choice(
            [
                "",
                "\xff\xfe",
                "Bearer",
                "Bearer " + "a" * 6000,
                "a" * 3000,
                "=;=;=",
                "bytes=0-,1-,2-",
                "100-continue",
                "gzip",
                "Basic Og==",
                "Basic \xff",
                "{" * 500,
                "00-" + "0" * 32 + "-" + "0" * 16 + "-00",
                "en;q=" + "9" * 400,
            ]
        )
        body = self._dice.choice(BODIES)
        method = self._dice.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
        fields = [f"{name}: {value}", f"Content-Type: {self._dice.choice(KINDS)}", f"Content-Length: {len(body)}"]
        return [self.head(f"{method} {self.path()} HTTP/1.1", *fields) + body]

    def comes(self, port: int) -> bytes:
        """What it is answered, as far as it listens."""
        received = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.settimeout(0.3)
            for part in self.kind():
                connection.sendall(part)
            if self._dice.random() < 0.2:
                return b""  # it leaves at once
            connection.shutdown(socket.SHUT_WR)
            while len(received) < 1_000_000 and (more := connection.recv(65536)):
                received += more
        return received


@pytest.fixture
def server(start: Start) -> Iterator[tuple[Running, int]]:
    port, place = free_port(), Path(tempfile.mkdtemp(prefix="gatehouse-tests-"))
    place.chmod(0o711)  # as root, Postgres runs as somebody else, who has to pass through
    running = start("up", "--port", str(port), "--data-dir", str(place / "data"), GATEHOUSE_LOG_LEVEL="error")
    running.until("/mcp", 60)
    yield running, port
    running.end()
    shutil.rmtree(place, ignore_errors=True)


def resident(running: Running) -> int:
    """In MiB."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


def open_files(running: Running) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def test_garbage(server: tuple[Running, int]) -> None:
    running, port = server
    seen: dict[int, int] = {}

    def come(seed: int) -> None:
        for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", Stranger(seed, f"localhost:{port}").comes(port)):
            seen[int(code)] = seen.get(int(code), 0) + 1
            assert int(code) < 500 or int(code) == 503, f"seed {seed}: {code!r}"

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(come, range(MANY // 3)))
        small, files = resident(running), open_files(running)
        list(crowd.map(come, range(MANY // 3, MANY)))
    assert running.process.poll() is None, "it died of it"
    assert httpx2.get(f"http://localhost:{port}/readyz", timeout=30).status_code == 200
    deadline = time.monotonic() + 30
    while open_files(running) > files + 10:
        assert time.monotonic() < deadline, "connections stay open"
        time.sleep(0.05)
    assert resident(running) < small + 15, f"{small} MiB after a third, {resident(running)} MiB at the end"
    assert running.end() == 0
    assert "unexpected fault" not in running.said
    assert "Traceback" not in running.said
    assert {200, 400, 401, 404} <= seen.keys(), seen
    print(seen, small, "MiB")

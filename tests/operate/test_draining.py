"""Whatever is open when SIGTERM comes, in front of whichever backend, in either era: all of it ends well, and in time."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.settings.operation import STOP_SECONDS
from bench.servers import free_port
from tests import commands
from tests.backends import Backend, Received, Wire, silence
from tests.conftest import House
from tests.operate.replicas import TOOLS, Replica, wait_until
from tests.stdio_house import script
from tests.stories.test_starting import Start, start

pytestmark = pytest.mark.long

__all__ = ["start"]
ACCEPT = {"Accept": "application/json, text/event-stream"}
BEFORE, NOW = "2025-11-25", "2026-07-28"
HINT = re.compile(r"^retry: \d+\n\n\Z", re.MULTILINE)
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
# And no more.
HALF = b"POST /token HTTP/1.1\r\nHost: localhost:%d\r\n" + FORM + b"Content-Length: 100\r\n\r\ngrant_type="
HANGS = """
def call(asked, name, **arguments):
    if name == "slow": time.sleep(1.5); text(asked, "done")
"""


async def talk(asked: Received, wire: Wire) -> None:
    """A remote server: streams that last, calls that stream and never end, calls that are slow or never answered."""
    called = asked.message["params"].get("name") if asked.method == "POST" else None
    if called == "slow":
        await asyncio.sleep(1.5)
        await wire.result(asked, {"content": []})
        return
    if called != "hang":
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
    await silence()


def message(era: str, method: str, **params: Any) -> dict[str, Any]:
    """What httpx2 is to send: a JSON-RPC request of that era."""
    headers = {**ACCEPT, "MCP-Protocol-Version": era}
    if era == NOW:
        client = {"io.modelcontextprotocol/protocolVersion": era, "io.modelcontextprotocol/clientCapabilities": {}}
        params["_meta"] = client
        headers["Mcp-Method"] = method
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
    return {
        "method": "POST",
        "headers": headers,
        "json": {"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
    }


def listen(era: str) -> dict[str, Any]:
    return message(era, "subscriptions/listen", notifications={"toolsListChanged": True})


def call(era: str, name: str) -> dict[str, Any]:
    return message(era, "tools/call", name=name, arguments={})


GET = {"method": "GET", "headers": {"Accept": "text/event-stream", "MCP-Protocol-Version": BEFORE}}
# Made to last (the built-in tools offer none): they end as soon as nothing more is accepted. The others have until a second before the end.
LASTING = {
    "remote, before: GET": ("/remote/mcp", GET),
    "remote, now: listen": ("/remote/mcp", listen(NOW)),
    "stdio, before: GET": ("/stdio/mcp", GET),
    "stdio, now: listen": ("/stdio/mcp", listen(NOW)),
    "python, before: listen": ("/news/mcp", listen(BEFORE)),
    "python, now: listen": ("/news/mcp", listen(NOW)),
}
UNTIL_THE_END = {
    f"{backend}, {when}: call": (f"/{backend}/mcp", call(era, "drip"))
    for backend in ("remote", "news")
    for when, era in (("before", BEFORE), ("now", NOW))
}
SLOW = {f"{backend}: slow": (f"/{backend}/mcp", call(BEFORE, "slow")) for backend in ("remote", "stdio", "news")}
NEVER = {f"{backend}: hangs": (f"/{backend}/mcp", call(NOW, "hang")) for backend in ("remote", "stdio", "news")}


@dataclass
class Open(threading.Thread):
    """One request, until the server has had enough of it."""

    url: str
    key: str
    asked: dict[str, Any]
    text: str = ""
    status: int = 0
    ended_well: bool = False
    ended_at: float = 0.0
    began: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        rest = {name: value for name, value in self.asked.items() if name != "headers"}
        headers = {**self.asked["headers"], "Authorization": f"Bearer {self.key}"}
        with suppress(httpx2.TransportError):
            self._read(headers, rest)
        self.ended_at = time.monotonic()

    def _read(self, headers: dict[str, str], rest: dict[str, Any]) -> None:
        with httpx2.Client(timeout=60) as client, client.stream(url=self.url, headers=headers, **rest) as answer:
            self.status = answer.status_code
            for part in answer.iter_text():
                self.text += part
                self.began.set()
            self.ended_well = True


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    backend = Backend(talk)
    remote = {"path": "/remote/mcp", "title": "Remote", "url": backend.url}
    stdio = {"path": "/stdio/mcp", "title": "Stdio", "command": list(script(tmp_path, HANGS))}
    lines = [TOOLS]
    for name, keys in (("remote", remote), ("stdio", stdio)):
        lines += [f"[resources.{name}]", *(f"{each} = {json.dumps(value)}" for each, value in keys.items())]
    (tmp_path / "gatehouse.toml").write_text("\n".join(lines))
    yield tmp_path / "gatehouse.toml"
    backend.close()


@pytest.fixture
def key(house: House, file: Path) -> str:
    """An API key that opens them all."""
    house.add_user()
    words = " ".join(f"{place}{word}" for place in ("", "news/", "remote/", "stdio/") for word in ("read", "write"))
    command = ("api-key", "add", "x", "--user", "ada@example.com", "--scope", words, "--quiet")
    ran = commands.run(command, house.environment() | {"GATEHOUSE_RESOURCES_FILE": str(file)}, "")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize("notice", ["1", "15, but a second SIGTERM skips it"])
def test_all_that_is_open_ends_well_and_in_time(start: Start, house: House, file: Path, key: str, notice: str) -> None:
    port, (seconds, *impatient) = free_port(), notice.split(", ")
    replica = Replica(
        start,
        house,
        port,
        f"http://localhost:{port}",
        file,
        GATEHOUSE_DRAIN_NOTICE=seconds,
        GATEHOUSE_METRICS_TOKEN="0123456789abcdef",
    )
    replica.until_ready()

    def opened(requests: dict[str, Any]) -> dict[str, Open]:
        found = {name: Open(f"http://localhost:{port}{path}", key, asked) for name, (path, asked) in requests.items()}
        for one in found.values():
            one.start()
        return found

    for one in opened({"stdio": SLOW["stdio: slow"]}).values():  # its process starts with the first call
        one.join(30)
        assert one.status == 200, one.text
    lasting, others = opened(LASTING), opened(UNTIL_THE_END)
    for name, one in {**lasting, **others}.items():
        assert one.began.wait(30), f"{name}: {one.status} {one.text}"
        assert one.status == 200, f"{name}: {one.text}"
    slow, never = opened(SLOW), opened(NEVER)
    wait_until(lambda: _busy(replica) >= len(lasting) + len(others) + len(slow) + len(never), 30)

    half = socket.create_connection(("127.0.0.1", port), 40)
    half.sendall(HALF % port)

    asked_to_stop = time.monotonic()
    replica.process.process.send_signal(signal.SIGTERM)
    wait_until(lambda: replica.readiness() == 503, 5)
    if impatient:
        replica.process.process.send_signal(signal.SIGTERM)
    wait_until(lambda: replica.readiness() is None, 10)
    accepted_until = time.monotonic()
    with ExitStack() as faults:
        for name, one in {**lasting, **others, **slow, **never}.items():
            one.join(40)
            faults.callback(
                print, name, one.status, repr(one.text[-200:]), one.ended_well, round(one.ended_at - asked_to_stop, 1)
            )
    code = replica.process.process.wait(30)
    took = time.monotonic() - asked_to_stop
    assert took < STOP_SECONDS, "whatever is still open"
    assert code in (0, -signal.SIGTERM)
    with half:
        assert half.recv(65536).split(b" ")[1] in (b"408", b"503"), "who was still speaking is told, too"
    for name, one in {**lasting, **others}.items():
        assert one.ended_well, f"{name}: cut off after {one.text!r}"
        assert HINT.search(one.text), f"{name}: no hint when to come again: {one.text!r}"
    for name, one in lasting.items():
        assert one.ended_at - accepted_until < 5, f"{name} was waited for"
    for name, one in slow.items():
        assert (one.status, one.ended_well) == (200, True), f"{name}: what had begun was not answered: {one.text}"
    for name, one in never.items():
        told = HINT.search(one.text) if one.status == 200 else "server stops" in one.text
        assert (one.status in (200, 503), one.ended_well, bool(told)) == (True, True, True), (
            f"{name}: {one.status} {one.text}"
        )
        assert one.ended_at - asked_to_stop < STOP_SECONDS, name


def _busy(replica: Replica) -> int:
    """How many calls are on their way, by the server's own count."""
    answer = httpx2.get(f"{replica.own}/metrics", headers={"Authorization": "Bearer 0123456789abcdef"}, timeout=5)
    return sum(
        int(float(line.split()[-1])) for line in answer.text.splitlines() if line.startswith("gatehouse_backend_busy{")
    )

"""SIGTERM: readiness goes first, then nothing more is accepted, running calls end, streams are told when to come again."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from bench.servers import free_port
from tests.actors import App, Browser
from tests.conftest import House
from tests.operate.replicas import TOOLS, Replica, wait_until
from tests.stories.test_starting import Start, start

pytestmark = pytest.mark.long

__all__ = ["start"]
LISTEN = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"notifications": {}}}
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


class Stream(threading.Thread):
    """A client that listens, in a thread of its own, until the server has had enough of it."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self._url, self._token = url, token
        self.text = ""
        self.ended_well = False

    def run(self) -> None:
        with suppress(httpx2.TransportError):
            self._listen()

    def _listen(self) -> None:
        sent = {**HEADERS, "Authorization": f"Bearer {self._token}"}
        with httpx2.Client(timeout=60) as client, client.stream("POST", self._url, json=LISTEN, headers=sent) as answer:
            for part in answer.iter_text():
                self.text += part
            self.ended_well = True


@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_first_then_accept_then_streams(start: Start, house: House, tmp_path: Path, workers: int) -> None:
    house.add_user()
    (tmp_path / "gatehouse.toml").write_text(TOOLS)
    port = free_port()
    more = {"GATEHOUSE_DRAIN_NOTICE": "2"}
    url, options = f"http://localhost:{port}", ("--workers", str(workers))
    replica = Replica(start, house, port, url, tmp_path / "gatehouse.toml", *options, **more)
    replica.until_ready()
    app, browser = App(f"http://localhost:{port}", path="/news/mcp"), Browser(f"http://localhost:{port}")
    app.register()
    token = app.connect(browser, resource=f"http://localhost:{port}/news/mcp")["access_token"]
    stream = Stream(f"{app.url}/news/mcp", token)
    stream.start()
    wait_until(lambda: "news" in stream.text, 30)

    began = time.monotonic()
    replica.process.process.send_signal(signal.SIGTERM)
    wait_until(lambda: replica.readiness() == 503, 2)
    while replica.readiness() == 503:  # noticed by balancers, while all goes on
        assert stream.is_alive()
        answer = App(app.url).http.get(f"{app.url}/.well-known/oauth-authorization-server")
        assert answer.status_code == 200
        break
    late = threading.Thread(target=lambda: calls.append(app.call("anything", token).status_code))
    calls: list[int] = []
    time_left = 2 - (time.monotonic() - began)
    assert time_left > 0.3, "the machine is too slow for this test"
    late.start()
    wait_until(lambda: replica.readiness() is None, 10)
    assert time.monotonic() - began >= 1.9, "accepting ended before the notice was over"
    late.join(30)
    assert calls == [200], "what had begun was answered"
    stream.join(30)
    assert stream.ended_well
    assert stream.text.startswith('data: {"news":1}\n\nretry: ')
    assert stream.text.endswith("\n\n")
    assert replica.process.process.wait(25) in (0, -signal.SIGTERM)
    assert time.monotonic() - began < 25

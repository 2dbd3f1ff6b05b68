"""A rolling restart of two replicas behind HAProxy, under load: not one flow fails, streams come back by themselves."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest

from bench.servers import free_port
from tests.actors import App, Browser
from tests.conftest import House
from tests.operate.replicas import HAPROXY, TOOLS, Replica, balanced, wait_until
from tests.operate.test_stopping import Stream
from tests.stories.test_starting import Start, start

pytestmark = pytest.mark.long

__all__ = ["start"]
FLOWS_AT_ONCE = 3


class Person(threading.Thread):
    """Authorizes, redeems, refreshes, calls, over and over, as one who is signed in; remembers what failed."""

    def __init__(self, url: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.app, self.browser = App(url), Browser(url)
        self.flows = 0
        self.failures: list[str] = []
        self._over = over
        self.app.register()
        self.app.connect(self.browser)  # with consent, which is remembered

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._flow()
                self.flows += 1
            except (AssertionError, KeyError, httpx2.TransportError) as fault:
                self.failures.append(f"{type(fault).__name__}: {fault}"[:500])

    def _flow(self) -> None:
        tokens = self.app.connect(self.browser)
        refreshed = self.app.refresh(tokens["refresh_token"])
        assert refreshed.status_code == 200, refreshed.text
        for _ in range(3):
            answer = self.app.call("whoami", refreshed.json()["access_token"])
            assert answer.status_code == 200, answer.text


class Listener(threading.Thread):
    """Listens, and again when it is let go; counts the hints."""

    def __init__(self, url: str, token: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.streams: list[Stream] = []
        self._given, self._over = (url, token), over

    def run(self) -> None:
        while not self._over.is_set():
            stream = Stream(*self._given)
            self.streams.append(stream)
            stream.start()
            while stream.is_alive() and not self._over.is_set():
                stream.join(0.1)


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed (apt-get install haproxy)")
def test_not_one_flow_fails(start: Start, house: House, tmp_path: Path) -> None:
    house.add_user()
    (tmp_path / "gatehouse.toml").write_text(TOOLS)
    port, ports = free_port(), [free_port(), free_port()]
    url = f"http://localhost:{port}"
    more = {"GATEHOUSE_DRAIN_NOTICE": "1", "GATEHOUSE_TRUSTED_PROXIES": "127.0.0.0/8"}
    replicas = [Replica(start, house, one, url, tmp_path / "gatehouse.toml", **more) for one in ports]
    for replica in replicas:
        replica.until_ready()
    over = threading.Event()
    with balanced(port, *ports):
        people = [Person(url, over) for _ in range(FLOWS_AT_ONCE)]
        app = App(url)
        app.register()
        token = app.connect(Browser(url), resource=f"{url}/news/mcp")["access_token"]
        listeners = [Listener(f"{url}/news/mcp", token, over) for _ in range(4)]
        for thread in (*people, *listeners):
            thread.start()
        wait_until(lambda: all("news" in one.streams[-1].text for one in listeners if one.streams), 30)
        for replica in replicas:
            before = sum(person.flows for person in people)
            replica.process.process.send_signal(signal.SIGTERM)
            assert replica.process.process.wait(25) in (0, -signal.SIGTERM)
            replica.begin_again()
            replica.until_ready()
            time.sleep(1.5)  # the balancer asks once a second; before it knows, the other must not go
            assert sum(person.flows for person in people) > before, "flows went on meanwhile"
        over.set()
        for person in people:
            person.join(60)
        for listener in listeners:
            listener.join(60)
    assert [failure for person in people for failure in person.failures] == []
    ended = [stream for listener in listeners for stream in listener.streams[:-1]]
    assert len(ended) >= len(listeners), "each was let go at least once, since each was on one of the two"
    assert all(stream.ended_well and "retry: " in stream.text for stream in ended)

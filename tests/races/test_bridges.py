"""Many `gatehouse connect` of one person at once, and one that is killed: nobody's refresh token is spent twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.actors import Browser
from tests.bridges import Bridge
from tests.conftest import House
from tests.elsewhere import Elsewhere, holding_back

PROCESSES = 20


@pytest.fixture
def server() -> Iterator[Elsewhere]:
    """It gives each refresh token one use, and no second chance."""
    place = Elsewhere("")
    yield place
    place.let_go.set()
    place.stop()


@pytest.fixture
def bridges(tmp_path: Path) -> Iterator[list[Bridge]]:
    started: list[Bridge] = []
    yield started
    for bridge in started:
        bridge.process.stdin.close()  # type: ignore[union-attr]
    for bridge in started:
        bridge.end()


def test_twenty_processes_ask_one_person_once_and_refresh_once(
    server: Elsewhere, bridges: list[Bridge], tmp_path: Path
) -> None:
    bridges += [Bridge(f"{server.url}/mcp", tmp_path) for _ in range(PROCESSES)]
    numbers = [bridge.begin() for bridge in bridges]
    asking: list[Bridge] = []
    found = threading.Semaphore(0)

    def listen(bridge: Bridge) -> None:
        try:
            bridge.address()
        except AssertionError:
            return  # it ended without asking anybody
        asking.append(bridge)
        found.release()

    threads = [threading.Thread(target=listen, args=(bridge,), daemon=True) for bridge in bridges]
    for thread in threads:
        thread.start()
    assert found.acquire(timeout=30)
    answer = Browser(server.url).open(asking[0].opened[0]).left_to
    assert answer
    assert Browser(server.url).http.get(answer).status_code == 200
    for bridge, number in zip(bridges, numbers, strict=True):
        assert "result" in bridge.answer(number)
        bridge.notify("notifications/initialized")
    assert server.issuer.grants == {"code": 1}

    server.issuer.access.clear()  # the hour is over
    calls = [bridge.ask("tools/call", {"name": "echo", "arguments": {"text": "x"}}) for bridge in bridges]
    for bridge, number in zip(bridges, calls, strict=True):
        assert bridge.answer(number)["result"]["structuredContent"]["result"] == "x"
    assert server.issuer.grants == {"code": 1, "refresh": 1}
    assert [method for method, _ in server.seen].count("TOKEN") == 2
    assert len(asking) == 1
    assert len(server.issuer.clients) == 1
    for bridge in bridges:
        bridge.process.stdin.close()  # type: ignore[union-attr]
    for thread in threads:
        thread.join(10)


def test_many_calls_of_one_process_refresh_once(server: Elsewhere, bridges: list[Bridge], tmp_path: Path) -> None:
    bridge = Bridge(f"{server.url}/mcp", tmp_path)
    bridges.append(bridge)
    number = bridge.begin()
    bridge.sign_in(Browser(server.url))
    assert "result" in bridge.answer(number)
    bridge.notify("notifications/initialized")
    server.issuer.access.clear()
    left = {bridge.ask("tools/call", {"name": "echo", "arguments": {"text": "x"}}) for _ in range(30)}
    while left:
        message = bridge.message()
        assert "result" in message
        left.remove(message["id"])
    assert server.issuer.grants == {"code": 1, "refresh": 1}


def test_killed_while_refreshing_where_a_token_is_good_once(
    server: Elsewhere, bridges: list[Bridge], tmp_path: Path
) -> None:
    """The server has spent the refresh token and the answer never came: the next start asks the person, and works."""
    bridge = Bridge(f"{server.url}/mcp", tmp_path)
    number = bridge.begin()
    bridge.sign_in(Browser(server.url))
    bridge.answer(number)
    _killed_while_refreshing(bridge, server.issuer.access.clear, server.done, server.let_go)
    server.issuer.access.clear()
    again = Bridge(f"{server.url}/mcp", tmp_path)
    bridges.append(again)
    number = again.begin()
    again.sign_in(Browser(server.url))
    assert "result" in again.answer(number)


def test_killed_while_refreshing_with_gatehouse(dsn: str, house: House, bridges: list[Bridge], tmp_path: Path) -> None:
    """It hands out the same successor to who asks again within 30 s: the next start needs nobody."""
    done, let_go = threading.Event(), threading.Event()
    let_go.set()
    mine = House(dsn)
    mine._server.config.app = holding_back(mine.app, done, let_go)
    mine.start()
    try:
        mine.add_user()
        bridge = Bridge(f"{mine.url}/mcp", tmp_path)
        number = bridge.begin()
        bridge.sign_in(Browser(mine.url))
        bridge.answer(number)
        _killed_while_refreshing(bridge, lambda: mine.turn_clock(seconds=3700), done, let_go)
        again = Bridge(f"{mine.url}/mcp", tmp_path)
        bridges.append(again)
        assert "result" in again.answer(again.begin())
        assert again.call("whoami")["structuredContent"]["via"] == "refresh_token"
        assert "to sign in" not in again.words()
        again.end()
    finally:
        let_go.set()
        mine.stop()


def _killed_while_refreshing(
    bridge: Bridge, expire: Callable[[], None], done: threading.Event, let_go: threading.Event
) -> None:
    expire()
    done.clear()
    let_go.clear()
    bridge.ask("tools/list")
    assert done.wait(20)
    bridge.kill()
    let_go.set()
    (file,) = (bridge.home / ".config/gatehouse/connections").glob("*.json")
    assert json.loads(file.read_text())["tokens"]["refresh_token"], "whole, as it was before"

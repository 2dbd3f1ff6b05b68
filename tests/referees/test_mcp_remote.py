"""mcp-remote, with which programs that only know stdio (Claude Desktop, older Cursor) reach us: in, refreshed, restarted, back in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actors import Browser, http
from tests.conftest import House
from tests.referees.node_process import WHY_NOT, Process, allowed

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
EACH = pytest.mark.parametrize("protocol", ["legacy", "auto"])


class Host:
    """The program that started mcp-remote: JSON-RPC over its pipes, in the handshake era."""

    def __init__(self, house: House, home: Path, protocol: str, *more: str) -> None:
        flags = ("--transport", "http-only", "--protocol", protocol, *more)
        self.house = house
        self.node = Process(home, "node_modules/mcp-remote/dist/proxy.js", f"{house.url}/mcp", *flags)
        self.numbers = itertools.count(1)
        self.opened: list[str] = []

    def ask(self, method: str, **params: Any) -> int:
        number = next(self.numbers)
        self.node.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    def answer(self, number: int) -> dict[str, Any]:
        """The answer to this request; what else it says in the meantime is not for us."""
        while True:
            message = self.node.answer()
            if message.get("id") == number:
                return message

    def initialize(self) -> int:
        client = {"name": "referee", "version": "1"}
        return self.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = self.answer(self.ask("tools/call", name=name, arguments=arguments))["result"]
        return result

    def sign_in(self, browser: Browser) -> None:
        """Opens what it prints; the answer goes to the port where it listens."""
        listening, address = False, ""
        while not (listening and address):  # in this order at first, in the other when it signs in again
            line = self.node.hears(lambda line: "/authorize?" in line or "callback server running" in line)
            listening, address = listening or "running" in line, line if "/authorize?" in line else address
        self.opened.append(address)
        assert http(follow_redirects=True).get(allowed(browser, address)).status_code == 200


Make = Callable[[str], Host]


@pytest.fixture
def start(house: House, tmp_path: Path) -> Iterator[Make]:
    """Each start has the same home, as on a person's computer."""
    house.add_user()
    started: list[Host] = []

    def make(protocol: str) -> Host:
        while started:
            started.pop().node.end()
        started.append(Host(house, tmp_path, protocol))
        return started[-1]

    yield make
    for host in started:
        host.node.end()


def signed_in(host: Host, browser: Browser) -> None:
    number = host.initialize()
    host.sign_in(browser)
    assert host.answer(number)["result"]["serverInfo"]["name"] == "gatehouse"
    host.node.send({"jsonrpc": "2.0", "method": "notifications/initialized"})


@EACH
def test_it_signs_in_lists_calls_and_refreshes(start: Make, house: House, browser: Browser, protocol: str) -> None:
    host = start(protocol)
    signed_in(host, browser)
    tools = host.answer(host.ask("tools/list"))["result"]["tools"]
    assert {"whoami", "add_note"} <= {tool["name"] for tool in tools}
    assert host.call("add_note", text="over stdio")["structuredContent"]["text"] == "over stdio"
    house.turn_clock(seconds=3700)
    assert host.call("whoami")["structuredContent"]["via"] == "refresh_token"
    assert len(host.opened) == 1


@EACH
def test_it_needs_no_browser_after_a_restart(start: Make, house: House, browser: Browser, protocol: str) -> None:
    """With its stored tokens, and when those ran out in the meantime."""
    signed_in(start(protocol), browser)
    for seconds in (0, 3700):
        house.turn_clock(seconds=seconds)
        host = start(protocol)
        assert "result" in host.answer(host.initialize())
        assert host.call("whoami")["isError"] is False
    assert len(json.loads(house.operator("client", "list", "--json"))) == 1


@EACH
def test_a_revoked_connection_signs_in_again(start: Make, house: House, browser: Browser, protocol: str) -> None:
    host = start(protocol)
    signed_in(host, browser)
    (connection,) = json.loads(house.operator("connection", "list", "--json"))
    house.operator("connection", "revoke", connection["id"])
    house.catch_up()
    number = host.ask("tools/call", name="whoami", arguments={})
    host.sign_in(browser)
    assert host.answer(number)["result"]["structuredContent"]["via"] == "authorization_code"


@EACH
def test_a_key_in_a_header_needs_no_browser(house: House, tmp_path: Path, protocol: str) -> None:
    house.add_user()
    key = house.operator("api-key", "add", "x", "--user", "ada@example.com", "--quiet").strip()
    host = Host(house, tmp_path, protocol, "--header", f"Authorization:Bearer {key}")
    try:
        assert "result" in host.answer(host.initialize())
        assert host.call("whoami")["structuredContent"]["via"] == "api_key"
    finally:
        host.node.end()

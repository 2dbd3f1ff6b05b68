"""Servers that some checks need beside the usual one: on the public internet by its own account, and with other tools."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import House
from tests.referees.conformance import example_server

PUBLIC = "https://mcp.example.com"


@pytest.fixture(scope="session")
def public(dsn: str, authority: Path) -> Iterator[House]:
    """Its issuer is https://mcp.example.com; `url` is where it is reached without its proxy."""
    house = House(dsn, ca_file=authority, public_url=PUBLIC)
    house.url = house.url.replace("localhost", "127.0.0.1")
    yield house.start()
    house.stop()


@pytest.fixture(scope="session")
def examples(dsn: str) -> Iterator[House]:
    """The same guard and transport in front of tools that want custom headers and capabilities."""
    house = House(dsn, example_server.shipped).start()
    yield house
    house.stop()


class Knocks:
    """A listener that counts who connects, and hangs up."""

    def __init__(self) -> None:
        self.count = 0
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        self._listener = socket.create_server(("", 0), family=family, dualstack_ipv6=both)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self.count += 1
                connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def knocks() -> Iterator[Knocks]:
    """On every address of this computer."""
    listener = Knocks()
    yield listener
    listener.close()

"""A service, and a house where it is configured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.actors import OPENED, Browser
from tests.conftest import House, emptied
from tests.upstreams import Upstream, house_with


@pytest.fixture(scope="package")
def service() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture
def acme(service: Upstream) -> Upstream:
    """Right in everything, until the test says otherwise."""
    service.is_right_again()
    return service


@pytest.fixture(scope="package")
def house_at_work(dsn: str, service: Upstream) -> Iterator[House]:
    """Anybody may make an account. The same service is there once more, as one that speaks OAuth only."""
    plain = {
        "client_id": "gatehouse-client",
        "client_secret": service.definition()["client_secret"],
        "authorization_endpoint": f"{service.url}/authorize",
        "token_endpoint": f"{service.url}/token",
        "userinfo_endpoint": f"{service.url}/userinfo",
        "scopes": ["email"],
        "title": "Plain",
    }
    house = house_with(dsn, {"acme": service.definition(), "plain": plain}, sign_up="open").start()
    yield house
    house.stop()


@pytest.fixture
def house(house_at_work: House, acme: Upstream) -> Iterator[House]:
    house_at_work.world.providers._published.clear()
    house_at_work.world.key_sets._sets.clear()
    house_at_work.world.outside.faults._seen.clear()
    acme.clock = lambda: house_at_work.clock().timestamp()
    yield emptied(house_at_work)
    while OPENED:
        OPENED.pop().close()


@pytest.fixture
def browser(house: House) -> Browser:
    return Browser(house.url)

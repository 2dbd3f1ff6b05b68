"""`make failover`: the primary dies under load, and its synchronous replica takes over: nothing lost, nothing done twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.actors import App, Browser
from tests.trouble.cluster import Cluster, cluster
from tests.trouble.gatehouse import Gatehouse, add_user, serving, until
from tests.trouble.load import Caller

CALLERS = 4
ELECTION = 60.0  # seconds; Patroni's ttl is 20
SOON = 5.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    with cluster() as made:
        add_user(made.dsn)
        yield made


@pytest.fixture(scope="module")
def gatehouse(pair: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    with serving(pair.dsn, tmp_path_factory.mktemp("gatehouse") / "log") as served:
        yield served
        served.assert_well()


@contextmanager
def load(gatehouse: Gatehouse, pair: Cluster) -> Iterator[list[Caller]]:
    browser, began = Browser(gatehouse.url), datetime.now(UTC)
    spent, app = [], App(gatehouse.url)
    app.register()
    for _ in range(10):
        spent.append(app.code(browser))
        assert app.redeem(spent[-1]).status_code == 200
    callers = [Caller(gatehouse.url, browser) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    until(lambda: all(len(caller.refreshed) > 3 for caller in callers), 30, "under way")
    try:
        yield callers
    finally:
        for caller in callers:
            caller.stop()
    for caller in callers:
        assert caller.refresh(), "a connection was lost"
        assert len(set(caller.refreshed)) == len(caller.refreshed), "one refresh token was given for two"
    counters = pair.sql("SELECT refresh_counter FROM connections WHERE refresh_counter > 0 AND created_at > $1", began)
    refreshed = sorted(len(caller.refreshed) for caller in callers)
    assert sorted(row[0] for row in counters) == refreshed, "what was answered is there, and nothing else"
    for code in spent:
        assert app.redeem(code).json()["error"] == "invalid_grant", "a spent code is good again"
    assert not pair.sql("SELECT 1 FROM audit_events WHERE event = 'refresh.reused'")


def again(callers: list[Caller]) -> float:
    """Seconds until every one of them has been answered once more."""
    counts = [len(caller.refreshed) for caller in callers]
    return until(lambda: all(len(c.refreshed) > n for c, n in zip(callers, counts, strict=True)), 30, "all again")


@pytest.mark.timeout(300)
def test_the_operator_lets_them_change_places(pair: Cluster, gatehouse: Gatehouse) -> None:
    with load(gatehouse, pair) as callers:
        began, before = time.monotonic(), pair.primary
        pair.switched()
        until(lambda: pair.can("CREATE TEMPORARY TABLE writable ()"), ELECTION, "a primary")
        elected, took = time.monotonic() - began, gatehouse.becomes_ready() + again(callers)
        assert pair.primary is not before
    print(f"switchover: the database away for {elected:.1f} s, Gatehouse back {took:.1f} s after it")
    assert took < SOON
    until(lambda: any(node.is_("sync") for node in pair.nodes), ELECTION, "synchronous again")


@pytest.mark.timeout(300)
def test_the_primary_dies(pair: Cluster, gatehouse: Gatehouse) -> None:
    with load(gatehouse, pair) as callers:
        began, dead = time.monotonic(), pair.primary
        dead.die()
        until(lambda: all(503 in caller.statuses("refresh") for caller in callers), 60, "refused")
        until(lambda: pair.can("CREATE TEMPORARY TABLE writable ()"), ELECTION, "a primary")
        elected, took = time.monotonic() - began, gatehouse.becomes_ready() + again(callers)
        assert pair.primary is not dead
    longest = max(caller.longest() for caller in callers)
    print(
        f"failover: the database away for {elected:.1f} s, Gatehouse back {took:.1f} s after it, the longest answer {longest:.1f} s"
    )
    assert took < SOON
    dead.start(pair.stack)
    until(lambda: dead.is_("sync"), ELECTION, "the dead one comes back as the replica")


@pytest.mark.timeout(300)
def test_without_haproxy_the_primary_is_found(pair: Cluster, gatehouse: Gatehouse, tmp_path: Path) -> None:
    """Both are named in the address, the replica first."""
    hosts = ",".join(f"127.0.0.1:{node.port}" for node in sorted(pair.nodes, key=lambda node: node.is_("primary")))
    dsn = f"postgresql://gatehouse@{hosts}/gatehouse?target_session_attrs=primary&sslmode=disable"
    with serving(dsn, tmp_path / "log") as other:
        App(other.url).register()
        other.assert_well()

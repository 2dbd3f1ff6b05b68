"""`make failover`: the primary dies under load, and its synchronous replica takes over: nothing lost, nothing done twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.actors import App, Browser
from tests.trouble.cluster import Cluster, cluster
from tests.trouble.gatehouse import Gatehouse, add_user, serving, until
from tests.trouble.load import Caller
from tests.trouble.spending import FORGOTTEN as CHARGE_FORGOTTEN
from tests.trouble.spending import Spending

CALLERS, CODES, SPENDERS = 4, 10, 4
ELECTION = 60.0  # seconds; Patroni's ttl is 20
SOON = 5.0
CODE_SECONDS = 60.0
GOOD_AGAIN, CONNECTION_LOST = "a spent code is good again", "a connection was lost"
FORGOTTEN = "what was answered is not there, or more than that"
CAUGHT_UP = "SELECT replay_lsn >= $1::text::pg_lsn FROM pg_stat_replication"
COUNTERS = "SELECT refresh_counter FROM connections WHERE refresh_counter > 0 AND created_at > $1"


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


class Load:
    """Apps at work, codes that they have not redeemed yet, and a budget that is charged."""

    def __init__(self, gatehouse: Gatehouse, pair: Cluster) -> None:
        browser, self._began = Browser(gatehouse.url), datetime.now(UTC)
        self._app = App(gatehouse.url)
        self._app.register()
        self.callers = [Caller(gatehouse.url, browser) for _ in range(CALLERS)]
        for caller in self.callers:
            caller.start()
        self.spending = Spending(gatehouse.url, pair, SPENDERS)
        until(lambda: all(len(caller.refreshed) > 3 for caller in self.callers), 30, "under way")
        until(lambda: self.spending.under_way(3), 30, "and charged")
        self._asked = time.monotonic()
        self._codes = [self._app.code(browser) for _ in range(CODES)]

    def spend(self) -> None:
        for code in self._codes:
            assert self._app.redeem(code).status_code == 200

    def faults(self, pair: Cluster) -> Iterator[str]:
        """What was answered and is not there, or is good once more; nobody is at work any longer."""
        self.spending.stop()
        yield from self.spending.faults()
        assert time.monotonic() - self._asked < CODE_SECONDS, "else they would be refused for their age"
        for code in self._codes:
            if self._app.redeem(code).status_code == 200:
                yield GOOD_AGAIN
        for caller in self.callers:
            try:
                caller.stop()
                refreshed = caller.refresh()
            except AssertionError:
                refreshed = False
            if not refreshed:
                yield CONNECTION_LOST
            if len(set(caller.refreshed)) != len(caller.refreshed):
                yield "one refresh token was given for two"
        counters = pair.sql(COUNTERS, self._began)
        if sorted(row[0] for row in counters) != sorted(len(caller.refreshed) for caller in self.callers):
            yield FORGOTTEN
        if pair.sql("SELECT 1 FROM audit_events WHERE event = 'refresh.reused'"):
            yield "a refresh token came twice"


@contextmanager
def load(gatehouse: Gatehouse, pair: Cluster) -> Iterator[Load]:
    """Through it all; in the end nothing is lost."""
    under_way = Load(gatehouse, pair)
    try:
        yield under_way
    finally:
        under_way.spending.stop()
        for caller in under_way.callers:
            caller.stop()
    assert not list(under_way.faults(pair))


def again(callers: list[Caller]) -> float:
    """Seconds until every one of them has been answered once more."""
    counts = [len(caller.refreshed) for caller in callers]
    return until(lambda: all(len(c.refreshed) > n for c, n in zip(callers, counts, strict=True)), 30, "all again")


@pytest.mark.timeout(300)
def test_the_operator_lets_them_change_places(pair: Cluster, gatehouse: Gatehouse) -> None:
    with load(gatehouse, pair) as under_way:
        under_way.spend()
        began, before = time.monotonic(), pair.primary
        pair.switched()
        until(lambda: pair.can("CREATE TEMPORARY TABLE writable ()"), ELECTION, "a primary")
        elected, took = time.monotonic() - began, gatehouse.becomes_ready() + again(under_way.callers)
        assert pair.primary is not before
    print(f"switchover: the database away for {elected:.1f} s, Gatehouse back {took:.1f} s after it")
    assert took < SOON
    until(lambda: any(node.is_("sync") for node in pair.nodes), ELECTION, "synchronous again")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "with changes that its replica has not got"])
def test_the_primary_dies(is_slow: bool, pair: Cluster, gatehouse: Gatehouse) -> None:
    with load(gatehouse, pair) as under_way:
        callers, dead = under_way.callers, pair.primary
        under_way.spend()
        if is_slow:
            dead.keeps_to_itself()
            until(lambda: all(503 in caller.statuses("refresh") for caller in callers), 60, "not answered as if done")
        began = time.monotonic()
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


@pytest.mark.timeout(300)
def test_an_asynchronous_replica_forgets(tmp_path: Path) -> None:
    """What docs/operate.md warns of; and so it is known that the tests above could fail."""
    with cluster(synchronous=False) as pair:
        add_user(pair.dsn)
        with serving(pair.dsn, tmp_path / "log") as gatehouse:
            under_way, dead = Load(gatehouse, pair), pair.primary
            ((here,),) = pair.sql("SELECT pg_current_wal_lsn()::text")
            until(lambda: pair.sql(CAUGHT_UP, here) == [(True,)], 30, "the replica has the codes")
            dead.keeps_to_itself()
            under_way.spend()
            again(under_way.callers)
            dead.die()
            until(lambda: pair.can("CREATE TEMPORARY TABLE writable ()"), ELECTION, "a primary")
            gatehouse.becomes_ready()
            faults = Counter(under_way.faults(pair))
            gatehouse.assert_well()
    print(f"asynchronous: {dict(faults)}")
    assert faults == {GOOD_AGAIN: CODES, CONNECTION_LOST: CALLERS, FORGOTTEN: 1, CHARGE_FORGOTTEN: 1}

"""Whatever order people, apps and thieves act in, at whichever of two replicas: what happens is what a model of ten lines says.

A few dozen walks in the suite, the same ones each time; `make soak-model` takes new ones, thousands of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.actors import App, Browser
from tests.staged.conftest import Database
from tests.staged.deeds import NEVER
from tests.staged.modelled import Access, Code, Connection, Purse, Staged, open_purse
from tests.staged.people import add_ada, at, seen_at
from tests.staged.replica import replicas

pytestmark = pytest.mark.long

WALKS, STEPS = int(os.environ.get("MODEL_WALKS", "20")), int(os.environ.get("MODEL_STEPS", "40"))
CODE_SECONDS, GRACE_SECONDS, ACCESS_SECONDS = 60, 30, 300
REPLICAS = st.sampled_from([0, 1])


class Walk(RuleBasedStateMachine):
    """Each rule does something at one replica, says what must come of it, and compares."""

    staged: Staged
    apps, codes, connections, accesses = Bundle("apps"), Bundle("codes"), Bundle("connections"), Bundle("accesses")

    def __init__(self) -> None:
        super().__init__()
        self.families: list[Connection] = []
        self.staged.turn(3600)

    def at(self, app: App, replica: int) -> App:
        return at(app, self.staged.pair[replica])

    @initialize(target=apps)
    def first(self) -> App:
        app = self.register(0)
        assert isinstance(app, App)
        return app

    @rule(target=apps, replica=REPLICAS)
    def register(self, replica: int) -> App:
        app = self.at(App(""), replica)
        app.register(client_name=f"Quill {time.monotonic_ns()}")
        return app

    @rule(target=codes, app=apps, replica=REPLICAS)
    def authorize(self, app: App, replica: int) -> Code:
        browser = seen_at(self.staged.browser, self.staged.pair[replica])
        return Code(self.at(app, replica).code(browser), app, self.staged.now)

    @rule(target=connections, code=codes, replica=REPLICAS)
    def redeem(self, code: Code, replica: int) -> Connection:
        answer = self.at(code.app, replica).redeem(code.value)
        was_used, expired = code.connection is not None, self.staged.now >= code.given_at + CODE_SECONDS
        if was_used or expired:
            self.refused(answer, "code")
            if code.connection is not None:
                code.connection.ended = True
            return code.connection or Connection(code.app, [], ended=True)
        assert answer.status_code == 200, answer.text
        self.staged.saw("redeemed")
        code.connection = Connection(code.app, [answer.json()["refresh_token"]], 0, self.staged.now)
        self.families.append(code.connection)
        return code.connection

    @rule(target=connections, app=apps, replica=REPLICAS)
    def connect(self, app: App, replica: int) -> Connection:
        opened = self.redeem(self.authorize(app, replica), 1 - replica)
        assert isinstance(opened, Connection)
        return opened

    @rule(code=codes, connection=connections, other=apps, replica=REPLICAS)
    def steal(self, code: Code, connection: Connection, other: App, replica: int) -> None:
        """Whoever saw a code, but not the verifier, or has another app's token, gets nothing and harms nobody."""
        self.refused(self.at(code.app, replica).redeem(code.value, code_verifier="v" * 43), "thief")
        if other is not code.app:
            self.refused(self.at(other, replica).redeem(code.value, code_verifier=code.app.code_verifier), "thief")
        if other is not connection.app and connection.refresh_tokens:
            self.refused(self.at(other, replica).refresh(connection.refresh_tokens[-1]), "thief")

    @rule(target=accesses, connection=connections, replica=REPLICAS)
    def refresh_in_turn(self, connection: Connection, replica: int) -> Access:
        """As apps do, which have several processes: with the last token, and once more with the same."""
        self.refresh(connection, 0, replica)
        again = self.refresh(connection, 1, 1 - replica)
        assert isinstance(again, Access)
        return again

    @rule(connection=connections, replica=REPLICAS)
    def refresh_with_a_stolen_one(self, connection: Connection, replica: int) -> None:
        """Of before the last, though all were used within the grace."""
        for back in (0, 0, 2):
            self.refresh(connection, back, replica)

    @rule(target=accesses, connection=connections, back=st.sampled_from([0, 0, 0, 1, 1, 2]), replica=REPLICAS)
    def refresh(self, connection: Connection, back: int, replica: int) -> Access:
        """With the last token, or with the one before, or one from long ago."""
        if not connection.refresh_tokens:
            return Access("none", connection, 0, void=True)
        number = max(0, len(connection.refresh_tokens) - 1 - back)
        answer = self.at(connection.app, replica).refresh(connection.refresh_tokens[number])
        now = self.staged.now
        repeats = number == connection.counter - 1 and now - connection.refreshed_at < GRACE_SECONDS
        if connection.ended or not (number == connection.counter or repeats):
            self.refused(answer, "refresh")
            connection.ended = True  # if it was not, this was a token from before
            return Access("none", connection, 0, void=True)
        assert answer.status_code == 200, answer.text
        token = answer.json()["refresh_token"]
        if repeats:
            assert token == connection.refresh_tokens[number + 1], "the same successor"
            self.staged.saw("repeated")
        else:
            connection.counter, connection.refreshed_at = number + 1, now
            connection.refresh_tokens.append(token)
            self.staged.saw("refreshed")
        access = Access(answer.json()["access_token"], connection, now)
        self.called(access, replica)
        return access

    @rule(connection=connections, app=apps, replica=REPLICAS, back=st.integers(0, 5))
    def revoke(self, connection: Connection, app: App, replica: int, back: int) -> None:
        """By its own app or by another, which has no say; the answer does not tell."""
        if connection.refresh_tokens and back < 2:  # a family that is always ended at once shows little
            self.give_back(app, connection.refresh_tokens[-1 - back :][0], replica)
            connection.ended |= app is connection.app
            self.staged.saw("revoked")

    @rule(access=accesses, replica=REPLICAS)
    def void(self, access: Access, replica: int) -> None:
        self.give_back(access.connection.app, access.value, replica)
        access.void = True

    @rule(access=accesses, replica=REPLICAS)
    def call(self, access: Access, replica: int) -> None:
        self.staged.pair[replica].catch_up()
        self.called(access, replica)

    def called(self, access: Access, replica: int) -> None:
        answer = self.at(access.connection.app, replica).call("whoami", access.value)
        expected = 401 if self.is_over(access) else 200
        assert answer.status_code == expected, answer.text
        self.staged.saw(f"called {expected}")

    @rule(access=accesses, replica=REPLICAS, sats=st.integers(0, 8), key=st.sampled_from("abcd"), twice=st.booleans())
    def charge(self, access: Access, replica: int, sats: int, key: str, twice: bool) -> None:
        """From its connection's purse; twice, as a client does that heard nothing, and asks the other one."""
        connection = access.connection
        if connection.purse is None and access.issued_at:
            connection.purse = open_purse(self.staged.shared, access.value)
        for at_replica in (replica, 1 - replica)[: 1 + twice]:
            self.staged.pair[at_replica].catch_up()
            self.charged(access, connection.purse, at_replica, sats, key)

    @rule(connection=connections, replica=REPLICAS)
    def spend_it_all(self, connection: Connection, replica: int) -> None:
        access = self.refresh(connection, 0, replica)
        assert isinstance(access, Access)
        for key in "efgh":
            self.charge(access, replica, 8, key, False)
        self.charge(access, 1 - replica, 7, "e", True)

    def charged(self, access: Access, purse: Purse | None, replica: int, sats: int, key: str) -> None:
        answer = access.connection.app.http.post(
            f"{self.staged.pair[replica].url}/api/mcp/charge",
            json={"callCostSats": sats, "toolName": "search", "idempotencyKey": key},
            headers={"Authorization": f"Bearer {access.value}"},
        )
        if self.is_over(access) or purse is None:
            assert answer.status_code == 401, answer.text
            self.staged.saw("charge refused")
            return
        is_known = key in purse.ledger
        expected = purse.charged(key, sats, int(self.staged.now // 86400))
        if expected is None:
            assert answer.status_code == 400, answer.text
            self.staged.saw("charge of another")
            return
        assert (answer.status_code, answer.json()) == (200, expected)
        assert ("idempotency-replayed" in answer.headers) == is_known
        self.staged.saw("charge repeated" if is_known else f"charge {expected['status']}")

    def is_over(self, access: Access) -> bool:
        expired = int(self.staged.now) >= int(access.issued_at) + ACCESS_SECONDS
        return access.void or access.connection.ended or expired

    @rule(seconds=st.sampled_from([1, 1, 1, 29, 31, 301]))
    def time_passes(self, seconds: int) -> None:
        self.staged.turn(seconds)

    def give_back(self, app: App, token: str, replica: int) -> None:
        url = f"{self.staged.pair[replica].url}/revoke"
        assert app.http.post(url, data={"client_id": app.client_id, "token": token}).status_code == 200

    def refused(self, answer: Any, what: str) -> None:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), answer.text
        self.staged.saw(f"refused {what}")

    def teardown(self) -> None:
        found = self.staged.shared.sql(
            " UNION ALL ".join(f"SELECT {n} FROM ({q}) q{n}" for n, q in enumerate(NEVER.values()))
        )
        assert not found, [list(NEVER)[number] for (number,) in found]
        ids = sorted((family.counter, family.ended) for family in self.families)
        clients = [family.app.client_id for family in self.families]
        rows = self.staged.shared.sql(
            "SELECT refresh_counter, revoked_at IS NOT NULL FROM connections WHERE client_id = ANY($1)", clients
        )
        assert sorted(rows) == ids
        for purse in (family.purse for family in self.families if family.purse is not None):
            (row,) = self.staged.shared.sql(
                "SELECT funded_sats, day_free_sats, day_sats, day_calls FROM budgets WHERE id = $1", purse.name
            )
            assert row == (purse.funded, purse.free_used, purse.sats, purse.calls)


@pytest.fixture(scope="module")
def staged(shared: Database) -> Iterator[Staged]:
    asyncio.run(add_ada(shared.dsn))
    options = {"frozen_at": time.time(), "access_token_lifetime": ACCESS_SECONDS, "revocation_staleness": 10_000}
    with replicas(shared.dsn, 2, **options) as pair:
        yield Staged(shared, pair, Browser(pair[0].url))


@pytest.mark.timeout(int(os.environ.get("MODEL_SECONDS", "120")))
def test_every_walk_ends_as_the_model_says(staged: Staged) -> None:
    class Here(Walk):
        pass

    Here.staged = staged
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=WALKS,
            stateful_step_count=STEPS,
            derandomize="MODEL_WALKS" not in os.environ,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    every = {
        "redeemed",
        "refreshed",
        "repeated",
        "revoked",
        "called 200",
        "called 401",
        "refused code",
        "refused refresh",
        "charge ok",
        "charge deny",
        "charge repeated",
        "charge of another",
        "charge refused",
    }
    assert every <= staged.seen.keys(), staged.seen
    print(f"{WALKS} walks: {staged.seen}")

"""Postgres is killed while a budget is charged by many: what was answered with yes is there when it comes back, once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from itertools import count

import pytest

from app.tokens.secrets import API_KEY, fingerprint, new_id, new_secret
from tests.actors import http
from tests.staged.purse import OPEN
from tests.trouble.gatehouse import Gatehouse, assert_bearable, until
from tests.trouble.postgres import Postgres

pytestmark = pytest.mark.long

CALLERS = 8
FUNDED = 1_000_000  # sats


class Spender(threading.Thread):
    """Charges one sat after the other, each with a key of its own, and repeats what was not answered with the same key."""

    def __init__(self, url: str, api_key: str, name: str) -> None:
        super().__init__(daemon=True)
        self._url, self._headers, self._name = url, {"Authorization": f"Bearer {api_key}"}, name
        self.answered: list[str] = []
        self.fault: BaseException | None = None
        self.goes_on = True

    def run(self) -> None:
        try:
            for number in count():
                while self.goes_on and not self._charged(f"{self._name}-{number}"):
                    pass
                if not self.goes_on:
                    return
        except BaseException as fault:
            self.fault = fault

    def _charged(self, key: str) -> bool:
        body = {"callCostSats": 1, "idempotencyKey": key}
        answer = http().post(f"{self._url}/api/mcp/charge", json=body, headers=self._headers)
        assert_bearable(answer, 200)
        if answer.status_code == 200:
            assert answer.json()["status"] == "ok", answer.text
            self.answered.append(key)
        return answer.status_code == 200


def written(database: Postgres) -> list[str]:
    """The keys of all charges, as their callers named them."""
    return [key.removeprefix("own:") for (key,) in database.sql("SELECT key FROM charges")]


def test_what_was_answered_is_there(gatehouse: Gatehouse, database: Postgres) -> None:
    api_key = new_secret(API_KEY)
    database.sql(OPEN, new_id("key"), fingerprint(api_key), 0, FUNDED, datetime.now(UTC))
    spenders = [Spender(gatehouse.url, api_key, f"caller-{number}") for number in range(CALLERS)]
    for spender in spenders:
        spender.start()
    until(lambda: all(len(spender.answered) > 20 for spender in spenders), 30, "under way")
    database.kill()
    gatehouse.becomes_ready(False)
    told = {key for spender in spenders for key in spender.answered}
    database.start()
    kept = written(database)
    assert told <= set(kept), f"{len(told - set(kept))} charges that were answered are forgotten"
    gatehouse.becomes_ready()
    before = sum(len(spender.answered) for spender in spenders)
    until(lambda: sum(len(spender.answered) for spender in spenders) > before + 50, 30, "all again")
    for spender in spenders:
        spender.goes_on = False
        spender.join(30)
        assert spender.fault is None, spender.fault
    keys = written(database)
    assert sorted(keys) == sorted(set(keys))
    assert database.sql("SELECT funded_sats FROM budgets") == [(FUNDED - len(keys),)], "each was taken once"
    assert {key for spender in spenders for key in spender.answered} <= set(keys)

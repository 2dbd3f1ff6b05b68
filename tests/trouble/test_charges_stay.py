"""Postgres is killed while a budget is charged by many: what was answered with yes is there when it comes back, once."""

from __future__ import annotations

import pytest

from tests.trouble.gatehouse import Gatehouse, until
from tests.trouble.postgres import Postgres
from tests.trouble.spending import Spending

pytestmark = pytest.mark.long

CALLERS = 8


def test_what_was_answered_is_there(gatehouse: Gatehouse, database: Postgres) -> None:
    spending = Spending(gatehouse.url, database, CALLERS)
    until(lambda: spending.under_way(20), 30, "under way")
    database.kill()
    gatehouse.becomes_ready(False)
    told = spending.told()
    database.start()
    assert not told - set(spending.written()), "charges that were answered are forgotten"
    gatehouse.becomes_ready()
    before = len(spending.told())
    until(lambda: len(spending.told()) > before + 50, 30, "all again")
    spending.stop()
    assert not list(spending.faults())

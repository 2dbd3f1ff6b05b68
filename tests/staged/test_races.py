"""Two thousand of the million races of `make races`: two replicas, one proof, one winner."""

from __future__ import annotations

import asyncio

import pytest

from tests.staged.conftest import Database
from tests.staged.kinds import KINDS
from tests.staged.races import REPLICAS, run
from tests.staged.replica import replicas

pytestmark = pytest.mark.long

COUNT = 2000


def test_of_two_who_come_at_once_one_wins(shared: Database) -> None:
    with replicas(shared.dsn, 2, **REPLICAS) as pair:
        done, faults = asyncio.run(run(COUNT, shared.dsn, [replica.url for replica in pair]))
    assert not faults
    assert sum(done.values()) >= COUNT
    assert len(done) == len(KINDS)

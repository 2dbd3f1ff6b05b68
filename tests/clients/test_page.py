"""docs/clients.md says what the data says, and names no test that is not there."""

from __future__ import annotations

import pytest

from tests.clients.breakers import BREAKERS
from tests.clients.data import known, names
from tests.clients.page import PAGE, page
from tests.conftest import ROOT


def test_the_page_is_what_the_data_says() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.clients"


@pytest.mark.parametrize("test", sorted({test for *_, test in BREAKERS}))
def test_every_breaker_has_its_test(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


@pytest.mark.parametrize("name", names())
def test_every_fact_has_a_date_and_a_source(name: str) -> None:
    one = known(name)
    assert one.as_of >= "2026"
    assert one.sources
    assert one.quirks
    assert set(one.headers) == {"look", "register", "token", "mcp"}

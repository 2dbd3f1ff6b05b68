"""A browser for each worker, and for each test as many people at it as it asks for, watched to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium

from tests.browsers import chromium as program
from tests.browsers.people import Person
from tests.conftest import House

Sits = Callable[..., Person]


# For a package, not a session: as long as it runs, its event loop keeps others of this thread from running, so the database
# has been migrated before.
@pytest.fixture(scope="package")
def chromium(dsn: str) -> Iterator[Chromium]:
    if program.WHY_NOT:
        pytest.skip(program.WHY_NOT)
    with program.started() as running:
        yield running


@pytest.fixture
def sits(chromium: Chromium, request: pytest.FixtureRequest) -> Iterator[Sits]:
    """Somebody sits down at a browser that has never been here: `sits(locale="zh-CN")`. At the end it has done nothing wrong.

    With `mails` at the house that sends mail.
    """
    seen = []
    with ExitStack() as stack:

        def down(*, mails: bool = False, **options: Any) -> Person:
            house: House = request.getfixturevalue("mailing" if mails else "house")
            page, watch = stack.enter_context(program.opened(chromium, house.url, **options))
            seen.append(watch)
            return Person(house, page, watch, request.getfixturevalue("mailboxes") if mails else None)

        yield down
    assert not [fault for watch in seen for fault in watch.faults]


@pytest.fixture
def person(sits: Sits) -> Person:
    """Somebody at a desk who reads English."""
    return sits()

"""What every test of trouble stands on: one Postgres for all, which each finds running, and a Gatehouse of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.actors import OPENED, App, Browser
from tests.conftest import EMPTIED
from tests.trouble.gatehouse import Gatehouse, add_user, serving
from tests.trouble.postgres import Postgres, running


@pytest.fixture(scope="session")
def started() -> Iterator[Postgres]:
    with running() as database:
        yield database


@pytest.fixture
def database(started: Postgres) -> Iterator[Postgres]:
    """It runs, ada@example.com has an account, and nothing else is in it."""
    started.connected(lambda db: db.execute(EMPTIED))
    add_user(started.dsn)
    yield started
    while OPENED:
        OPENED.pop().close()
    started.recover()


@pytest.fixture(scope="session")
def served(started: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    with serving(started.dsn, tmp_path_factory.mktemp("gatehouse") / "log") as gatehouse:
        yield gatehouse


@pytest.fixture
def gatehouse(served: Gatehouse, database: Postgres) -> Iterator[Gatehouse]:
    """The same process through every trouble."""
    served.becomes_ready()
    yield served
    served.assert_well()


@pytest.fixture
def browser(gatehouse: Gatehouse) -> Browser:
    return Browser(gatehouse.url)


@pytest.fixture
def app(gatehouse: Gatehouse) -> App:
    """A registered public client."""
    app = App(gatehouse.url)
    app.register()
    return app

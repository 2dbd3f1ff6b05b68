"""A database that replicas share and no other test looks at, and people and apps who use several replicas at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from app.db.engine import plain_url
from tests.conftest import database


class Database:
    """Shared by replicas, looked at from outside."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(plain_url(self.dsn))
            try:
                return [tuple(row) for row in await connection.fetch(statement, *values)]
            finally:
                await connection.close()

        return asyncio.run(run())


@pytest.fixture(scope="module")
def shared() -> Iterator[Database]:
    with database() as dsn:
        yield Database(dsn)

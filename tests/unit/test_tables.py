"""What the tables promise for when they are large."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKeyConstraint, Table, UniqueConstraint

from app.db.tables import metadata

# Sorted: each process of the tests must find the same tests in the same order, and a set has none.
KEYS = [
    (table, key)
    for table in metadata.sorted_tables
    for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name))
]


@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda value: getattr(value, "name", ""))
def test_whoever_is_deleted_is_found_by_an_index(table: Table, key: ForeignKeyConstraint) -> None:
    """Postgres looks for what refers to a row before it deletes the row: without an index it reads the whole table for each."""
    begin_with = [next(iter(table.primary_key.columns)).name]
    begin_with += [
        next(iter(index.columns)).name
        for index in table.indexes
        if index.dialect_options["postgresql"]["where"] is None
    ]
    begin_with += [next(iter(one.columns)).name for one in table.constraints if isinstance(one, UniqueConstraint)]
    assert key.column_keys[0] in begin_with

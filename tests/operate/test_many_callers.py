"""What is written off the request path, when there are many callers: no statement grows with them, nor what is written a second."""

from __future__ import annotations

import pytest

from app.db.tables import metadata
from app.gate import known
from app.later.writing import BATCH, pause
from tests.actors import App
from tests.conftest import House

MANY = 2 * BATCH + 500


def test_the_last_use_of_many_is_written_in_batches(house: House) -> None:
    user, now = house.add_user("bob@example.com"), house.clock()
    house.sql(
        "INSERT INTO api_keys (id, user_id, name, fingerprint, scope, created_at) SELECT 'key_' || n, :user, 'k',"
        " sha256(n::text::bytea), '{read}', now() FROM generate_series(1, :many) n",
        user=user,
        many=MANY,
    )
    for number in range(1, MANY + 1):
        house.world.last_used.saw("api_keys", f"key_{number}", now)
    assert house.wait_for(house.world.last_used.flush()) == MANY
    assert house.sql("SELECT count(*) FROM api_keys WHERE last_used_at = :now", now=now) == [(MANY,)]
    assert house.wait_for(house.world.last_used.flush()) == 0


def test_the_calls_of_many_are_counted_in_batches(house: House) -> None:
    user, now = house.add_user("bob@example.com"), house.clock()
    for _ in range(2):
        for number in range(MANY):
            house.world.tally.count(str(user), f"client_{number}", "whoami", now)
    assert house.wait_for(house.world.tally.flush()) == MANY
    assert house.sql("SELECT count(*), sum(calls) FROM tool_calls") == [(MANY, 2 * MANY)]
    assert house.wait_for(house.world.tally.flush()) == 0


def test_a_client_that_is_always_in_use_changes_once_a_minute(house: House, app: App) -> None:
    """Each change has every process read it anew, and every process would make one every two seconds."""
    house.sql("UPDATE clients SET last_used_at = now()")
    rows: list[object] = []
    for seconds in (5, 50, 10):
        house.turn_clock(seconds=seconds)
        house.world.last_used.saw("clients", str(app.client_id), house.clock())
        house.wait_for(house.world.last_used.flush())
        rows.append(house.sql("SELECT xmin::text FROM clients"))
    assert rows[0] == rows[1] != rows[2]


def test_who_has_been_remembered_longest_makes_room(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "REMEMBERED", 2)
    house.add_user()
    tokens = [house.operator("token", "--user", "ada@example.com", "--quiet").strip() for _ in range(3)]
    app = App(house.url)
    before = met(house)
    for place in (0, 1, 2, 2, 1, 0):  # three are new, two are known, and the first has made room for the third
        assert app.call("whoami", tokens[place]).status_code == 200
    assert [after - first for after, first in zip(met(house), before, strict=True)] == [4, 2]


def met(house: House) -> list[float]:
    """How many tokens were checked, and how many remembered."""
    return [house.world.measures.counts["gatehouse_verifications_total", how] for how in ("checked", "remembered")]


def test_what_changes_with_every_use_changes_where_it_stands(house: House) -> None:
    """A new version of a row that finds no room in its block has to be entered into every index of the table."""
    rows = house.sql("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL AND relkind = 'r'")
    found = {row[0]: row[1] for row in rows}
    wanted = {name: table.dialect_options["postgresql"]["with"] for name, table in metadata.tables.items()}
    assert found == {name: [f"{key}={value}" for key, value in of.items()] for name, of in wanted.items() if of}
    assert {"api_keys", "browser_sessions", "connections", "tool_calls", "budgets"} <= set(found)


def test_with_many_callers_it_is_written_less_often() -> None:
    """So that a process never writes more than some rows a second, however many call; and never later than after a minute."""
    assert [pause(written) for written in (0, 500, 5000, 15_000, 1_000_000)] == [2, 2, 20, 60, 60]

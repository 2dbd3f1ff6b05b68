"""The sweep where there is much to sweep, and where tables are large."""

from __future__ import annotations

import pytest

from app.operate import sweep as room
from tests.conftest import House

CODES = (
    "INSERT INTO codes (fingerprint, client_id, user_id, redirect_uri, redirect_host, code_challenge, scope, resource, expires_at)"
    " SELECT sha256(n::text::bytea), 'c', 'u', 'r', 'h', 'x', '{}', 'a', now() - interval '3 days' FROM generate_series(1, :many) n"
)
SESSIONS = (
    "INSERT INTO browser_sessions (fingerprint, id, user_id, created_at, authenticated_at, last_seen_at, expires_at, user_agent,"
    " address) SELECT sha256(n::text::bytea), 'ses_' || n, :user, now(), now(), now(), now() - make_interval(days => n % 2 * 2 - 1),"
    " repeat('x', 250), '192.0.2.1' FROM generate_series(1, 60) n"
)


def swept(house: House) -> dict[str, int]:
    gone: dict[str, int] = house.wait_for(room.sweep(house.world, house.clock()))  # type: ignore[assignment]
    return gone


def test_one_round_takes_more_than_one_batch(house: House) -> None:
    """A code is left by every sign-in: at a hundred of them a second a round has 6,000 to delete."""
    house.sql(CODES, many=3 * room.BATCH + 7)
    assert swept(house)["codes"] == 3 * room.BATCH + 7
    assert "codes" not in swept(house)


def test_a_round_that_is_over_leaves_the_rest_to_the_next(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.sql(CODES, many=2 * room.BATCH)
    monkeypatch.setattr(room, "ROUND_SECONDS", 0.0)
    assert swept(house) == {}
    monkeypatch.undo()
    assert swept(house)["codes"] == 2 * room.BATCH


def test_a_large_table_is_swept_part_by_part(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """No round reads all of it, and after some rounds nothing that expired is left, and all that did not."""
    house.sql(SESSIONS, user=house.add_user("bob@example.com"))
    monkeypatch.setattr(room, "PART", 1)
    monkeypatch.setattr(
        room, "EXPIRED", {"browser_sessions": room.EXPIRED["browser_sessions"]}
    )  # the others take their time
    rounds = [swept(house).get("browser_sessions", 0) for _ in range(40)]
    assert max(rounds) < 30
    # Its own sweep may have come by, too.
    assert house.sql("SELECT count(*) FROM browser_sessions WHERE expires_at <= now()") == [(0,)]
    assert house.sql("SELECT count(*) FROM browser_sessions WHERE expires_at > now()") == [(30,)]

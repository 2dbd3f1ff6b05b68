"""Two admins who take one another's rights at the same moment: one is left."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.admins import admin_key
from tests.conftest import House
from tests.races.test_one_winner import blocked, race

__all__ = ["blocked"]  # a fixture: nobody's deed is done before all have looked


@pytest.mark.parametrize("deed", ["demote", "disable", "delete"])
def test_an_admin_is_left_whatever_they_do_to_one_another(house: House, blocked: Any, deed: str) -> None:
    people = [house.add_user(email, admin=True) for email in ("ada@example.com", "bob@example.com")]
    keys = [admin_key(house, email) for email in ("ada@example.com", "bob@example.com")]

    def attempt(number: int, client: httpx2.Client) -> httpx2.Response:
        url = f"{house.url}/admin/api/users/{people[number % 2]}"
        headers = {"Authorization": f"Bearer {keys[1 - number % 2]}"}
        if deed == "delete":
            return client.delete(url, headers=headers)
        return client.patch(url, json={"is_admin": False} if deed == "demote" else {"disabled": True}, headers=headers)

    statuses = [answer.status_code for answer in blocked("audit_events", lambda: race(house, attempt))]
    assert set(statuses) <= {200, 204, 401, 404, 409, 503}, statuses
    assert statuses.count(200) + statuses.count(204) >= 1
    assert house.sql("SELECT count(*) FROM users WHERE is_admin AND disabled_at IS NULL") == [(1,)]

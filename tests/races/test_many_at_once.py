"""More people at once than there are database connections: nobody holds one while waiting for another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.admins import AdminBrowser, Api, admin_key
from tests.conftest import House

ACCOUNT = ("", "/allowed", "/api-keys", "/sessions", "/usage", "/security", "/profile", "/delete", "/email")
ADMIN = (
    "",
    "/users",
    "/invitations",
    "/clients",
    "/clients/new",
    "/connections",
    "/api-keys",
    "/attempts",
    "/signing-keys",
    "/audit",
    "/audit?user=ada@example.com",
    "/audit/file",
    "/settings",
)
JSON = ("overview", "users", "invitations", "clients", "connections", "api-keys", "attempts", "audit")
PEOPLE = 32  # of two pools of 10 and 5 more


def together(ask: object, path: str) -> set[int]:
    with ThreadPoolExecutor(PEOPLE) as crowd:
        return set(crowd.map(lambda _: ask(path), range(PEOPLE * 2)))  # type: ignore[operator]


@pytest.fixture
def ada(house: House) -> AdminBrowser:
    house.add_user(admin=True)
    return AdminBrowser(house)


def test_pages(house: House, ada: AdminBrowser) -> None:
    paths = ["/", *(f"/account{path}" for path in ACCOUNT), *(f"/admin{path}" for path in ADMIN)]
    for path in paths:
        assert together(lambda at: ada.http.get(house.url + at).status_code, path) == {200}, path


def test_the_admin_api(house: House, ada: AdminBrowser) -> None:
    api = Api(house, admin_key(house))
    headers = {"Authorization": f"Bearer {api.key}"}
    for path in JSON:
        ask = lambda at: api.http.get(f"{house.url}/admin/api/{at}", headers=headers).status_code  # noqa: E731
        assert together(ask, path) == {200}, path

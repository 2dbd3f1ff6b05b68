"""Every list of admins, with a hundred thousand rows behind it: each page by an index, the last as cheap as the first."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from sqlalchemy import event

from tests.admins import AdminBrowser
from tests.conftest import House
from tests.many import MANY, fill, swept_out

ROWS = 6_000  # that Postgres may look at for one page of 50
MORE = {"/admin": 55_000, "/admin/api-keys?stale=yes": 110_000}  # counts as far as 10,000; what is rare among all keys
SECONDS = 0.5  # far more than any needs (some 20 ms), far less than a machine that is busy makes of reading a table
PAGES = [
    "/admin",
    "/admin/users",
    "/admin/users?q=user-9",
    "/admin/users?q=nobody",
    "/admin/users?kind=admins",
    "/admin/users?kind=disabled",
    "/admin/clients",
    "/admin/clients?q=app",
    "/admin/clients?q=nothing",
    "/admin/clients?kind=static",
    "/admin/clients?kind=blocked",
    "/admin/clients/client_busy",
    "/admin/connections",
    "/admin/connections?user=user-7@example.com",
    "/admin/connections?client=client_busy",
    "/admin/api-keys",
    "/admin/api-keys?stale=yes",
    "/admin/api-keys?user=user-7@example.com",
    "/admin/audit",
    "/admin/audit?event=rare",
    "/admin/audit?event=thing&client=client_busy",
    "/admin/audit?user=user-7@example.com",
    "/admin/audit?until=2020-01-03",
    "/admin/attempts",
    "/admin/attempts?failed=yes",
    "/admin/attempts?client=nobody",
]


LISTS = ["/admin/users", "/admin/clients", "/admin/connections", "/admin/api-keys", "/admin/audit?event=thing"]


@pytest.mark.long
def test_a_hundred_thousand_of_everything(house: House) -> None:
    """One test, since to fill the tables takes as long as to look at all of them."""
    house.add_user(admin=True)
    try:
        fill(house)
        ada = AdminBrowser(house)
        for path in PAGES:
            assert quickest_but_one(ada, path) < SECONDS, path
            assert looked_at(house, ada, path) < MORE.get(path, ROWS), path
        for path in LISTS:
            goes_on_without_gaps_or_repeats(ada, path)
        streams_the_whole_log(ada)
    finally:
        swept_out(house)


def test_one_app_that_nearly_everybody_uses(house: House) -> None:
    """As Claude is at many servers: the others' connections are not looked for among all of its."""
    user = house.add_user(admin=True)
    house.sql(
        "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method,"
        " metadata, created_at) SELECT 'client_' || n, 'dynamic', 'App ' || n, '{http://127.0.0.1/cb}',"
        " '{authorization_code}', 'none', '{}', now() FROM generate_series(1, 60) n"
    )
    house.sql(
        "INSERT INTO connections (id, user_id, client_id, redirect_host, resource, scope, refresh_counter, created_at,"
        " refreshed_at, last_used_at, expires_at) SELECT 'con_' || n, :user, 'client_1', '127.0.0.1', 'r', '{read}', 0,"
        " now() - n * interval '1 second', now(), now(), now() + interval '30 days' FROM generate_series(1, 20000) n",
        user=user,
    )
    house.sql("ANALYZE clients")
    house.sql("ANALYZE connections")
    assert looked_at(house, AdminBrowser(house), "/admin/clients") < ROWS


def quickest_but_one(ada: AdminBrowser, path: str) -> float:
    took = []
    for _ in range(4):
        began = time.monotonic()
        page = ada.open(path)
        took.append(time.monotonic() - began)
        assert page.status == 200, path
        assert len(page.text) < 50_000, f"{path} is more than 50 KB"
    return sorted(took)[1]


def looked_at(house: House, ada: AdminBrowser, path: str) -> int:
    """How many rows Postgres reads for this page, or reads and throws away, by its own count."""
    statements: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, parameters: Any, *rest: object) -> None:
        statements.append((statement, parameters))

    event.listen(house.world.db.sync_engine, "before_cursor_execute", note)
    ada.open(path)
    event.remove(house.world.db.sync_engine, "before_cursor_execute", note)
    assert statements or "attempts" in path

    async def explain() -> int:
        read = 0
        for statement, parameters in statements:
            if statement.lstrip()[:6].upper() in ("SELECT", "WITH R"):
                plan = await house.world.pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *parameters)
                read = max(read, rows_of(json.loads(plan)[0]["Plan"]))
        return read

    return house.wait_for(explain())  # type: ignore[return-value]


def rows_of(plan: dict[str, Any]) -> int:
    own = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Scan" in plan["Node Type"] else 0
    return int(own * plan["Actual Loops"]) + sum(rows_of(child) for child in plan.get("Plans", []))


def goes_on_without_gaps_or_repeats(ada: AdminBrowser, path: str) -> None:
    """Ten pages; every row is there once, and the tenth costs what the first does."""
    rows: list[str] = []
    took, following = 0.0, path
    for _ in range(10):
        began = time.monotonic()
        text = ada.open(following).text
        took = time.monotonic() - began
        rows += found_on(path, text)
        following = re.search(r'<a href="([^"]+)" rel="next">', text)[1].replace("&amp;", "&")  # type: ignore[index]
    assert took < SECONDS, path
    assert len(rows) == len(set(rows)) == 500, path


def found_on(path: str, text: str) -> list[str]:
    """The names of the rows; of an event its time, since these have no two at once."""
    if path in ("/admin/users", "/admin/clients"):
        return re.findall(rf'<h2><a href="{path}/(\w+)"', text)
    if path.startswith("/admin/audit"):
        return re.findall(r'<time datetime="(20(?:20|21)[^"]+)"', text) or []
    return re.findall(r'name="id" value="(\w+)"', text)


def streams_the_whole_log(ada: AdminBrowser) -> None:
    """In pieces: the server never holds more than a batch."""
    lines, largest = 0, 0
    with ada.http.stream("GET", f"{ada.url}/admin/audit/file?format=jsonl") as answer:
        for piece in answer.iter_bytes():
            lines += piece.count(b"\n")
            largest = max(largest, len(piece))
    assert lines >= MANY * 0.9, "all but what the sweep takes meanwhile: it is from 2020"
    assert largest < 2_000_000

"""Calls of tools are counted when they worked, for whom and by whom they were made; nothing else fills the memory or the table."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from app.later.tally import Tally
from tests.actors import App, Browser
from tests.conftest import House


def counted(house: House) -> dict[str, int]:
    house.wait_for(house.world.tally.flush())
    return {str(tool): calls for tool, calls in house.sql("SELECT tool, calls FROM tool_calls")}  # type: ignore[misc]


def test_calls_that_worked_are_counted_and_no_others(house: House, app: App, browser: Browser) -> None:
    token = app.connect(browser, scope="read write")["access_token"]
    for _ in range(3):
        assert app.call("whoami", token).json()["result"]["isError"] is False
    app.modern("tools/call", token, "whoami", arguments={})
    app.call("add_note", token, text='"isError":true and {"error":{"code":1}}')
    # What the tool itself refuses, what does not exist, and what is no call:
    assert app.call("delete_note", token, note_id="x").json()["result"]["isError"] is True
    assert app.call("add_note", token).json()["result"]["isError"] is True
    app.call("no_such_tool", token)
    app.modern("tools/call", token, "no_such_tool", arguments={})
    app.mcp({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}, token)
    app.mcp({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": ["whoami"]}}, token)
    app.mcp({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": "whoami"}, token)
    app.mcp({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "whoami", "arguments": {}}}, token)
    # What the guard refuses:
    app.call("whoami", "nonsense")
    narrow = app.connect(browser, scope="read")["access_token"]
    assert app.call("add_note", narrow, text="x").status_code == 403
    assert counted(house) == {"whoami": 4, "add_note": 1}


def test_made_up_names_leave_nothing_in_memory(house: House, app: App, browser: Browser) -> None:
    token = app.connect(browser)["access_token"]
    for number in range(20):
        app.call(f"tool_{number}", token)
    assert house.world.tally._counts == {}


def test_a_count_is_kept_by_day_user_and_client(house: House, app: App, browser: Browser) -> None:
    token = app.connect(browser)["access_token"]
    app.call("whoami", token)
    key = browser.http.post(f"{house.url}/api-keys", json={"name": "cron"}).json()
    app.call("whoami", key["apiKey"])
    counted(house)
    app.call("whoami", key["apiKey"])
    counted(house)
    house.turn_clock(days=1)
    app.call("whoami", key["apiKey"])
    counted(house)
    [(user_id,)] = house.sql("SELECT id FROM users")
    rows = house.sql("SELECT user_id, client_id, calls FROM tool_calls ORDER BY day, calls")
    assert rows == [(user_id, app.client_id, 1), (user_id, key["id"], 2), (user_id, key["id"], 1)]


def test_the_page_tells_it_with_a_picture_and_a_table(house: House, app: App, browser: Browser) -> None:
    token = app.connect(browser)["access_token"]
    assert "No calls yet." in browser.open("/account/usage").text
    for _ in range(3):
        app.call("whoami", token)
    app.call("list_notes", token)
    [(user_id,)] = house.sql("SELECT id FROM users")
    house.sql("INSERT INTO tool_calls VALUES (:u, current_date - 1, 'client_gone', 'whoami', 5)", u=user_id)
    house.sql("INSERT INTO tool_calls VALUES (:u, current_date - 30, 'client_gone', 'whoami', 1000)", u=user_id)
    text = browser.open("/account/usage").text
    assert "9 calls in your name in the last 30 days." in text
    assert "busiest day: 5" in text
    assert text.count('<tr><th scope="row"><time') == 30
    assert text.count("<rect x=") == 2
    assert 'role="img" aria-labelledby="days"' in text
    assert "<bdi>whoami</bdi>" in text
    assert "<bdi>Quill</bdi>" in text
    assert "an app that is gone" in text
    assert "style=" not in text, "the content security policy forbids it"
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    assert "No calls yet." in bob.open("/account/usage").text


def test_an_account_that_is_deleted_meanwhile_stops_no_other_count(house: House) -> None:
    """The whole batch is one statement; of whom there is no row nothing is written, and nothing is kept."""
    user_id = house.add_user()
    tally, now = house.world.tally, datetime.now(UTC)
    tally.count("usr_gone", "client_1", "whoami", now)
    tally.count("client_credentials_have_no_user", "client_1", "whoami", now)
    tally.count(user_id, "client_1", "whoami", now)
    assert counted(house) == {"whoami": 1}
    assert tally._counts == {}


def test_a_failed_flush_forgets_nothing_and_what_came_meanwhile_stays(house: House) -> None:
    user_id = house.add_user()
    tally, now = Tally(house.world.pool), datetime.now(UTC)
    tally.count(user_id, "client_1", "whoami", now)

    async def interrupted() -> None:
        flushing = asyncio.create_task(tally.flush())
        await asyncio.sleep(0)
        tally.count(user_id, "client_1", "whoami", now)  # while the statement is on its way
        await asyncio.gather(flushing, tally.flush(), tally.flush())

    house.wait_for(interrupted())
    assert house.sql("SELECT calls FROM tool_calls") == [(2,)]
    assert tally._counts == {}
    house.sql("ALTER TABLE tool_calls RENAME TO elsewhere")
    try:
        tally.count(user_id, "client_1", "whoami", now)
        failed = house.wait_for(_fault(tally))
    finally:
        house.sql("ALTER TABLE elsewhere RENAME TO tool_calls")
    assert failed == "UndefinedTableError"
    house.wait_for(tally.flush())
    assert house.sql("SELECT calls FROM tool_calls") == [(3,)]


def test_a_name_that_cannot_be_stored_holds_up_no_other(house: House) -> None:
    user_id = house.add_user()
    tally, now = Tally(house.world.pool), datetime.now(UTC)
    for tool in ("find\0", "find\ud800", "x" * 500, "whoami"):
        tally.count(user_id, "client_1", tool, now)
    house.wait_for(tally.flush())
    assert set(house.sql("SELECT tool, calls FROM tool_calls")) == {("", 2), ("x" * 200, 1), ("whoami", 1)}


async def _fault(tally: Tally) -> str:
    try:
        await tally.flush()
    except Exception as fault:
        return type(fault).__name__
    return "none"

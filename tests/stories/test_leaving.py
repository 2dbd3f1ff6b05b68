"""Taking everything along, and deleting an account: nothing of somebody else, nothing secret, nothing left (OWASP access control)."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.actors import PASSWORD, App, Browser
from tests.conftest import House
from tests.mailbox import Mailboxes
from tests.stories.test_joining import finish
from tests.stories.test_new_address import ask, confirm


def exported(browser: Browser) -> Any:
    csrf = browser.open("/account/profile").field("csrf")
    return browser.http.post(f"{browser.url}/account/export", data={"csrf": csrf})


def test_the_export_has_everything_of_mine_and_nothing_secret(house: House, app: App, browser: Browser) -> None:
    token = app.connect(browser)["access_token"]
    app.call("add_note", token, text="buy milk ✓")
    key = browser.http.post(f"{house.url}/api-keys", json={"name": "cron"}).json()
    house.add_user("bob@example.com")
    bob = App(house.url)
    bob.register(client_name="Bob's")
    theirs = Browser(house.url)
    theirs.sign_in(email="bob@example.com")
    bob.call("add_note", bob.connect(theirs)["access_token"], text="bob's own")
    answer = exported(browser)
    assert answer.headers["content-type"] == "application/json"
    assert re.match(r'attachment; filename="gatehouse-[0-9-]+.json"', answer.headers["content-disposition"])
    assert answer.headers["cache-control"] == "no-store"
    document = json.loads(answer.text)
    assert document["profile"][0]["email"] == "ada@example.com"
    assert [note["text"] for note in document["notes"]] == ["buy milk ✓"]
    assert [connection["client_id"] for connection in document["connections"]] == [app.client_id]
    assert [(one["name"], one["scope"]) for one in document["api_keys"]] == [("cron", ["read", "write"])]
    assert [one["scope"] for one in document["consents"]] == [["read", "write"]]
    assert {one["tool"]: one["calls"] for one in document["usage"]} == {"add_note": 1}
    assert {"login", "consent.given", "api_key.created", "account.exported"} <= {e["event"] for e in document["events"]}
    assert len(document["sessions"]) == 1
    for secret in (key["apiKey"], "argon2", "fingerprint", "bob", PASSWORD):
        assert secret not in answer.text


def test_a_large_export_is_whole(house: House, app: App, browser: Browser) -> None:
    """It is read in batches of a key; moments that are the same do not lose a row."""
    app.connect(browser)
    house.sql(
        "INSERT INTO notes SELECT 'note_' || n, id, 'x', now() - (n / 700) * interval '1 day' "
        "FROM users, generate_series(1, 2500) n"
    )
    document = json.loads(exported(browser).text)
    assert len({note["id"] for note in document["notes"]}) == 2500


def test_exports_are_few(house: House, browser: Browser) -> None:
    house.add_user()
    browser.sign_in()
    assert [exported(browser).status_code for _ in range(7)] == [200] * 6 + [429]


def test_an_account_goes_with_everything(house: House, app: App, browser: Browser) -> None:
    tokens = app.connect(browser)
    app.call("add_note", tokens["access_token"], text="x")
    key = browser.http.post(f"{house.url}/api-keys", json={"name": "cron"}).json()["apiKey"]
    [(user_id,)] = house.sql("SELECT id FROM users")
    house.wait_for(house.world.tally.flush())
    house.wait_for(house.world.traces.flush())
    elsewhere = Browser(house.url)
    elsewhere.sign_in()
    page = browser.open("/account/delete")
    gone = browser.send("/account/delete", csrf=page.field("csrf"), email=" Ada@Example.com ")
    assert gone.url.endswith("/goodbye")
    assert "Your account is deleted" in gone.text
    house.catch_up()
    assert [app.call("whoami", bearer).status_code for bearer in (tokens["access_token"], key)] == [401, 401]
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert "/login" in browser.open("/account").url
    assert "/login" in elsewhere.open("/account").url
    assert Browser(house.url).sign_in().status == 400
    house.wait_for(house.world.tally.flush())
    for (table,) in house.sql(
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'user_id' AND table_schema = 'public'"
    ):
        assert house.sql(f"SELECT count(*) FROM {table} WHERE user_id = :u", u=user_id) == [(0,)], table
    assert house.sql("SELECT count(*) FROM users") == [(0,)]
    log = str(house.sql("SELECT event, address, detail FROM audit_events WHERE event NOT IN ('login.refused')"))
    assert "user.deleted" in log
    assert "consent.given" in log
    for personal in ("ada", "cron"):
        assert personal not in log
    assert house.sql("SELECT count(*) FROM audit_events WHERE event = 'login' AND address IS NOT NULL") == [(0,)]


def test_it_takes_the_right_address_and_a_recent_sign_in(house: House, app: App, browser: Browser) -> None:
    browser.sign_in()
    page = browser.open("/account/delete")
    for typed in ("bob@example.com", "", "ada"):
        refused = browser.send("/account/delete", csrf=page.field("csrf"), email=typed)
        assert refused.status == 400
        assert 'id="fault">That is not the e-mail address of this account.' in refused.text
        assert f'value="{typed}" aria-invalid="true" aria-describedby="fault" autofocus' in refused.text
    house.turn_clock(minutes=16)
    assert "/login" in browser.open("/account/delete").url
    asked = browser.send("/account/delete", csrf=page.field("csrf"), email="ada@example.com")
    assert "/login" in asked.url
    assert browser.sign_in(asked).url.endswith("/account/delete"), "back where it was interrupted"
    assert house.sql("SELECT count(*) FROM users") == [(1,)]


def test_the_last_admin_stays(house: House, browser: Browser) -> None:
    house.add_user(admin=True)
    house.add_user("bob@example.com")
    browser.sign_in()
    page = browser.open("/account/delete")
    refused = browser.send("/account/delete", csrf=page.field("csrf"), email="ada@example.com")
    assert (refused.status, "You are the only admin here." in refused.text) == (400, True)
    assert house.sql("SELECT count(*) FROM revocations") == [(0,)], "nothing has happened"
    house.sql("UPDATE users SET is_admin = true, disabled_at = now() WHERE email = 'bob@example.com'")
    assert browser.send("/account/delete", csrf=page.field("csrf"), email="ada@example.com").status == 400
    house.sql("UPDATE users SET disabled_at = NULL")
    assert browser.send("/account/delete", csrf=page.field("csrf"), email="ada@example.com").url.endswith("/goodbye")


def test_no_address_they_ever_had_stays_in_the_log(mailing: House, mailboxes: Mailboxes) -> None:
    """Nor the name of a passkey; who is invited to an address that was theirs is somebody else."""
    mailing.operator("user", "invite", "jane.roe@old.example")
    jane = Browser(mailing.url)
    finish(jane, mailboxes.one(mailing, "jane.roe@old.example").link)
    ask(jane, "jane@new.example")
    confirm(jane, mailboxes.one(mailing, "jane@new.example").link)
    mailing.sql(
        "INSERT INTO audit_events (at, event, user_id, detail) "
        "SELECT now(), 'passkey.added', id, '{\"passkey\": \"the phone of jane\"}' FROM users"
    )
    page = jane.open("/account/delete")
    assert jane.send("/account/delete", csrf=page.field("csrf"), email="jane@new.example").url.endswith("/goodbye")
    assert "jane" not in str(mailing.sql("SELECT detail FROM audit_events"))


def test_the_export_does_not_say_where_an_admin_was(house: House, browser: Browser) -> None:
    user_id = house.add_user()
    browser.sign_in()
    house.sql(
        "INSERT INTO audit_events (at, event, user_id, actor, actor_id, address, detail) SELECT now(), 'e.' || kind || "
        "coalesce(id, ''), :user, kind, id, '203.0.113.77', '{}' FROM (VALUES ('user', 'usr_x'), ('user', :user), "
        "('operator', NULL), ('nobody', NULL)) v (kind, id)",
        user=user_id,
    )
    told = {e["event"]: e["address"] for e in json.loads(exported(browser).text)["events"]}
    here = "203.0.113.77"
    assert (told["e.userusr_x"], told["e.operator"]) == (None, None)
    assert (told[f"e.user{user_id}"], told["e.nobody"]) == (here, here)
    assert told["login"] is not None

"""Admins and what is kept: connections, API keys, attempts, signing keys, the audit log, settings, the overview."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta

import pytest

from tests.actors import App, Browser, http
from tests.admins import AdminBrowser, Api, admin_key, events
from tests.conftest import House


@pytest.fixture
def ada(house: House) -> AdminBrowser:
    house.add_user(admin=True)
    house.wait_for(house.world.traces.flush())
    house.sql("TRUNCATE trace_steps")
    return AdminBrowser(house)


@pytest.fixture
def quill(house: House, ada: AdminBrowser) -> App:
    app = App(house.url)
    app.register()
    return app


def test_connections_are_found_by_user_and_app_and_ended(house: House, ada: AdminBrowser, quill: App) -> None:
    house.add_user("bob@example.com")
    bob = Browser(house.url)
    bob.sign_in(email="bob@example.com")
    tokens = [quill.connect(ada)["access_token"], quill.connect(bob)["access_token"]]
    assert ada.open("/admin/connections").text.count('form="revoke"') == 2
    assert ada.open("/admin/connections?user=bob@example.com").text.count('form="revoke"') == 1
    assert ada.open(f"/admin/connections?client={quill.client_id}").text.count('form="revoke"') == 2
    for nobody in ("?user=nobody@example.com", "?client=client_x", "?user=%F0%9F%92%A5"):
        assert "No open connection is found" in ada.open(f"/admin/connections{nobody}").text
    theirs = str(
        house.sql("SELECT c.id FROM connections c JOIN users u ON u.id = user_id WHERE email LIKE 'bob%'")[0][0]
    )
    done = ada.press("/admin/connections", "/admin/connections/revoke", id=theirs)
    assert "Disconnected" in done.text
    house.catch_up()
    assert [quill.call("whoami", token).status_code for token in tokens] == [200, 401]
    again = ada.send("/admin/connections/revoke", csrf=done.field("csrf"), id=theirs)
    assert "Nothing to do" in again.text
    assert events(house, "connection.revoked")[0][2] == {"connection": theirs, "because": "revoked by an admin"}


def test_api_keys_of_everybody_and_the_stale_ones(house: House, ada: AdminBrowser) -> None:
    house.add_user("bob@example.com")
    bobs = admin_key_of(house, "bob@example.com", "nightly")
    assert 'class="tag care">stale' not in ada.open("/admin/api-keys").text
    house.turn_clock(days=91)
    ada.sign_in()
    admin_key_of(house, "ada@example.com", "fresh")
    house.sql("UPDATE api_keys SET created_at = created_at + interval '91 days' WHERE name = 'fresh'")
    stale = ada.open("/admin/api-keys?stale=yes").text
    assert ("nightly" in stale, "fresh" in stale) == (True, False)
    assert App(house.url).call("whoami", bobs).status_code == 200, "and now it was used"
    house.wait_for(house.world.last_used.flush())
    assert "nightly" not in ada.open("/admin/api-keys?stale=yes").text
    assert "nightly" in ada.open("/admin/api-keys?user=bob@example.com").text
    key_id = str(house.sql("SELECT id FROM api_keys WHERE name = 'nightly'")[0][0])
    assert "The key has ended" in ada.press("/admin/api-keys", "/admin/api-keys/revoke", id=key_id).text
    house.catch_up()
    assert App(house.url).call("whoami", bobs).status_code == 401
    assert events(house, "api_key.revoked")[0][2] == {"key": key_id}


def admin_key_of(house: House, email: str, name: str) -> str:
    return house.operator("api-key", "add", name, "--user", email, "--scope", "read", "--quiet").strip()


def test_attempts_with_their_verdicts(house: House, ada: AdminBrowser, quill: App) -> None:
    quill.call("whoami", quill.connect(ada)["access_token"])
    refused = quill.http.post(f"{house.url}/register", json={"redirect_uris": ["http://app.example/cb"]})
    house.wait_for(house.world.traces.flush())
    page = ada.open("/admin/attempts").text
    assert "Quill is connected in the name of ada@example.com" in page
    assert "http://app.example/cb is plain http" in page
    failed = ada.open("/admin/attempts?failed=yes").text
    assert ("Quill is connected" in failed, "plain http" in failed) == (False, True)
    assert "Quill is connected" in ada.open(f"/admin/attempts?client={quill.client_id}").text
    assert "plain http" not in ada.open("/admin/attempts?client=quill").text
    assert "plain http" not in ada.open("/admin/attempts?user=ada@example.com").text
    reference = refused.json()["request_id"]
    one = ada.open(f"/admin/attempts?client={reference}")
    assert "/admin/attempts/" in one.url, "the reference of an error leads to its attempt"
    assert "Step by step" in one.text
    assert reference in one.text
    told = json.loads(house.operator("trace", "--json"))
    assert {row["id"] for row in told} == set(re.findall(r'"/admin/attempts/(\w+)"', page)), "as the command line says"
    assert ada.open("/admin/attempts/nowhere").status == 404


def test_an_attempt_is_followed_with_and_without_a_script(house: House, ada: AdminBrowser, quill: App) -> None:
    page = ada.open("/admin/attempts?follow=1")
    assert "script-src 'self'; connect-src 'self'" in page.headers["content-security-policy"]
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.text
    script = re.search(r'<script src="([^"]+)" defer></script>', page.text)
    assert script
    assert ada.http.get(house.url + script[1]).headers["content-type"].startswith("text/javascript")
    still = ada.open("/admin/attempts")
    assert "script" not in still.headers["content-security-policy"]
    assert "<script" not in still.text


def test_attempts_page_by_page(house: House, ada: AdminBrowser) -> None:
    """Each once, the last first, over the borders of pages."""
    house.sql(
        "INSERT INTO trace_steps (at, request_id, what, method, path, status, error, address, user_agent, links, facts)"
        " SELECT CAST(:now AS timestamptz) - n * interval '1 second', lpad(to_hex(n), 16, '0'), 'registration', 'POST', '/register', 400,"
        " 'invalid_client_metadata', '192.0.2.' || n % 250, 'agent ' || n, '{}', '{}' FROM generate_series(1, 1500) n",
        now=house.clock(),
    )
    seen, path = [], "/admin/attempts"
    while path:
        page = ada.open(path).text
        seen += re.findall(r'href="/admin/attempts/(\w+)"', page)
        older = re.search(r'<a href="([^"]+)" rel="next">', page)
        path = older[1] if older else ""
    assert seen == [f"{n:016x}" for n in range(1, 1501)]


def test_signing_keys_overlap_and_rotate(house: House, ada: AdminBrowser, quill: App) -> None:
    token = quill.connect(ada)["access_token"]
    before = set(re.findall(r"<code>([\w-]{43})</code>", ada.open("/admin/signing-keys").text))
    page = ada.press("/admin/signing-keys", "/admin/signing-keys/rotate")
    after = re.findall(r"<code>([\w-]{43})</code>", page.text)
    assert len(set(after) - before) == 2
    assert page.text.count(">comes<") == 2
    assert "verifies until" in page.text
    assert quill.call("whoami", token).status_code == 200
    assert len(events(house, "signing_key.published")) == 2
    refused = ada.press("/admin/signing-keys", "/admin/signing-keys/rotate", at_once="yes")
    assert (refused.status, "Tick the box to replace the keys at once" in refused.text) == (409, True)
    assert len(events(house, "signing_key.published")) == 2
    replaced = ada.press("/admin/signing-keys", "/admin/signing-keys/rotate", at_once="yes", sure="yes")
    assert "New keys sign from now on." in replaced.text
    assert ada.open("/admin/signing-keys").text.count(">signs<") == 2
    assert quill.call("whoami", token).status_code == 200
    assert quill.call("whoami", quill.connect(ada)["access_token"]).status_code == 200


def test_the_log_filtered_and_paged(house: House, ada: AdminBrowser, quill: App) -> None:
    user_id = str(house.sql("SELECT id FROM users")[0][0])
    house.sql(
        "INSERT INTO audit_events (at, event, user_id, client_id, detail) SELECT CAST(:now AS timestamptz),"
        " CASE WHEN n % 2 = 0 THEN 'thing.made' ELSE 'thing.ended' END, CAST(:user AS text), CAST(:client AS text),"
        " jsonb_build_object('n', n) FROM generate_series(1, 120) n",
        now=house.clock() - timedelta(days=3),
        user=user_id,
        client=quill.client_id,
    )
    seen, path = [], "/admin/audit?event=thing"
    while path:
        page = ada.open(path).text
        seen += [int(n) for n in re.findall(r'<code class="soft">n</code> <bdi>(\d+)</bdi>', page)]
        older = re.search(r'<a href="([^"]+)" rel="next">', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == list(range(120, 0, -1))
    assert ada.open("/admin/audit?event=thing.made").text.count("<code>thing.made</code>") == 50
    assert "thing.ended" not in listed(ada, "?event=thing.made")
    assert "thing." in listed(ada, "?user=ada@example.com&event=thing")
    assert "thing." not in listed(ada, "?user=usr_x")
    assert "thing." in listed(ada, f"?client={quill.client_id}")
    day = (house.clock() - timedelta(days=3)).date().isoformat()
    assert "thing." in listed(ada, f"?since={day}&until={day}")
    assert "thing." not in listed(ada, f"?since={house.clock().date()}")
    for bad in (
        "?since=yesterday",
        "?until=9999-12-31",
        "?since=0001-01-01T00:00:00%2B14:00",
        "?before=-1",
        "?before=9999999999999999999999",
    ):
        assert ada.open(f"/admin/audit{bad}").status in (200, 400), bad
    assert ada.open("/admin/audit?since=yesterday").status == 400
    assert ada.open("/admin/audit?event=a&event=b").status == 400


def listed(ada: AdminBrowser, query: str) -> str:
    """The log itself, without the names that may be asked for."""
    return ada.open(f"/admin/audit{query}").text.split("</datalist>")[1]


def test_the_log_as_a_file(house: House, ada: AdminBrowser) -> None:
    house.sql(
        "INSERT INTO audit_events (at, event, client_id, detail) SELECT now(), 'thing.made', '=HYPERLINK(\"https://evil\")',"
        " jsonb_build_object('words', E'two\\nlines, \"quoted\"') FROM generate_series(1, 2500) n"
    )
    answer = ada.http.get(f"{house.url}/admin/audit/file?format=jsonl&event=thing")
    assert answer.headers["content-disposition"].startswith('attachment; filename="gatehouse-audit-')
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert len(rows) == 2500
    assert [row["id"] for row in rows] == sorted({row["id"] for row in rows}), "each once, in order"
    assert rows[0]["detail"] == {"words": 'two\nlines, "quoted"'}
    answer = ada.http.get(f"{house.url}/admin/audit/file?format=csv&event=thing")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(table) == 2500
    assert table[0]["client_id"] == '\'=HYPERLINK("https://evil")', "no formula for a spreadsheet"
    assert json.loads(table[0]["detail"]) == rows[0]["detail"]
    assert [row[2] for row in events(house, "audit.exported")] == [{"format": "jsonl"}, {"format": "csv"}]
    assert ada.http.get(f"{house.url}/admin/audit/file?format=exe").status_code == 400


def test_settings_with_their_sources_and_no_secret(house: House, ada: AdminBrowser) -> None:
    page = ada.open("/admin/settings").text
    assert "Where <code>up</code> keeps its database" in page
    assert not [path for path in ("/admin/settings", "/docs", "/work") if "`" in ada.open(path).text]
    assert "GATEHOUSE_PUBLIC_URL" in page
    assert house.url in page
    assert "a key for tests" not in page
    assert house.dsn not in page
    rows = {row["setting"]: row for row in Api(house, admin_key(house))("GET", "/settings")["rows"]}
    assert rows["GATEHOUSE_SECRET_KEY"]["value"] == rows["GATEHOUSE_DATABASE_URL"]["value"] == "********"
    assert rows["GATEHOUSE_CODE_LIFETIME"] | {"meaning": ""} == {
        "setting": "GATEHOUSE_CODE_LIFETIME",
        "value": "60",
        "source": "default",
        "meaning": "",
    }
    assert rows["GATEHOUSE_PUBLIC_URL"]["source"] == "start"


def test_the_overview(house: House, ada: AdminBrowser, quill: App) -> None:
    page = ada.open("/admin").text
    for words in ("The database answers", "The tables are up to date", "Keys to sign with", "Background work keeps up"):
        assert words in page
    api = Api(house, admin_key(house))
    tasks = {task["name"]: task["done"] for task in api("GET", "/overview")["tasks"]}
    assert (tasks["https"], tasks["first_app"], tasks["second_admin"], tasks["backup"]) == (False,) * 4
    quill.connect(ada)
    house.add_user("bob@example.com", admin=True)
    ada.press("/admin", "/admin/backup")
    told = api("GET", "/overview")
    tasks = {task["name"]: task["done"] for task in told["tasks"]}
    assert (tasks["first_app"], tasks["second_admin"], tasks["backup"]) == (True,) * 3
    assert told["numbers"] | {"calls_today": 0} == {
        "users": 2, "admins": 2, "apps": 1, "connections": 1, "api_keys": 1, "calls_today": 0
    }  # fmt: skip
    quill.http.post(f"{house.url}/register", json={"redirect_uris": ["http://app.example/cb"]})
    house.wait_for(house.world.traces.flush())
    assert api("GET", "/overview")["failed_attempts"] == 1
    assert len(events(house, "backup.confirmed")) == 1
    house.turn_clock(days=91)
    tasks = {task["name"]: task["done"] for task in api("GET", "/overview")["tasks"]}
    assert tasks["backup"] is False, "it is asked for again"


def test_what_is_not_swept_is_said(house: House, ada: AdminBrowser) -> None:
    house.sql("INSERT INTO rate_counters VALUES ('x', 1, :past)", past=house.clock() - timedelta(minutes=30))
    assert "Background work is behind" in ada.open("/admin").text


def test_the_same_as_json(house: House, ada: AdminBrowser, quill: App) -> None:
    quill.call("whoami", quill.connect(ada)["access_token"])
    house.wait_for(house.world.traces.flush())
    api = Api(house, admin_key(house))
    connection = api("GET", "/connections?user=ada@example.com")["rows"][0]
    assert (connection["client_name"], connection["scope"]) == ("Quill", ["read", "write"])
    assert api("GET", f"/connections?client={quill.client_id}")["rows"] == [connection]
    api("DELETE", f"/connections/{connection['id']}", 204)
    api("DELETE", f"/connections/{connection['id']}", 404)
    mine = api("GET", "/api-keys")["rows"][0]
    assert (mine["name"], mine["scope"]) == ("admin", ["admin"])
    assert api("GET", "/api-keys?stale=true")["rows"] == []
    attempt = api("GET", "/attempts?client=quill")["rows"][0]
    assert attempt["state"] == "connected"
    assert api("GET", f"/attempts/{attempt['steps'][2]['request_id']}")["id"] == attempt["id"]
    api("GET", "/attempts/nowhere", 404)
    assert {key["state"] for key in api("GET", "/signing-keys")["rows"]} >= {"signing"}
    assert len(api("POST", "/signing-keys", 201, json={})["kids"]) == 2
    newest = api("GET", "/audit?event=connection.revoked")["rows"]
    assert newest[0]["detail"]["connection"] == connection["id"]
    page = api("GET", "/audit")
    assert "before" not in page
    lines = http().get(f"{house.url}/admin/api/audit/file", headers={"Authorization": f"Bearer {api.key}"}).text
    assert len(lines.splitlines()) >= len(page["rows"])
    api("DELETE", f"/api-keys/{mine['id']}", 204)
    house.catch_up()
    api("GET", "/api-keys", 401)

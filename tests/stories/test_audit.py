"""The audit log: what each deed leaves in it, that it only grows, that nothing happens without its row, and no secret in it."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from app import audit
from app.admin.log import store as log
from app.operate import logs
from app.operate.sweep import sweep
from tests.actors import PASSWORD, App, Browser, Device
from tests.conftest import House

COLUMNS = "event, actor, actor_id, user_id, client_id, address, request_id, detail"


def events(house: House, event: str = "") -> list[dict[str, Any]]:
    """In the order of time; of one kind, if that is said."""
    kind = "" if not event else f"WHERE event = '{event}'"
    found = house.sql(f"SELECT {COLUMNS} FROM audit_events {kind} ORDER BY id")
    return [dict(zip(COLUMNS.split(", "), row, strict=True)) for row in found]


def one(house: House, event: str) -> dict[str, Any]:
    found = events(house, event)
    assert len(found) == 1, (event, found)
    return found[0]


def test_signing_in_and_out(house: House, browser: Browser) -> None:
    user = house.add_user()
    wrong = browser.sign_in(password="not the right password")
    refused = one(house, "login.refused")
    assert (refused["actor"], refused["address"]) == ("nobody", "127.0.0.1")
    assert refused["request_id"] == wrong.headers["x-request-id"]
    assert "ada@" not in json.dumps(refused)
    page = browser.sign_in()
    came = one(house, "login")
    assert (came["actor"], came["actor_id"], came["user_id"], came["address"]) == ("user", user, user, "127.0.0.1")
    browser.send("/logout", csrf=page.field("csrf"))
    gone = one(house, "session.ended")
    assert (gone["actor_id"], gone["user_id"]) == (user, user)
    assert gone["detail"]["session"].startswith("ses_")


def test_the_whole_way_of_an_app(app: App, browser: Browser, house: House) -> None:
    tokens = app.connect(browser)
    registered = one(house, "client.registered")
    assert (registered["actor"], registered["client_id"]) == ("nobody", app.client_id)
    given = one(house, "consent.given")
    assert given["detail"] == {"scope": "read write", "redirect_host": "127.0.0.1"}
    assert given["actor"] == "user"
    issued = one(house, "token.issued")
    assert (issued["actor"], issued["actor_id"], issued["client_id"]) == ("client", app.client_id, app.client_id)
    assert issued["user_id"] == given["user_id"]
    assert issued["detail"]["grant"] == "authorization_code"
    assert issued["detail"]["scope"] == "read write"
    assert issued["address"] == "127.0.0.1"
    assert issued["request_id"]
    tokens = app.refresh(tokens["refresh_token"]).json()
    assert len(events(house, "token.issued")) == 1, "not every refresh"
    house.turn_clock(days=1)
    tokens = app.refresh(tokens["refresh_token"]).json()
    tokens = app.refresh(tokens["refresh_token"]).json()
    refreshed = events(house, "token.issued")[1:]
    assert [row["detail"]["grant"] for row in refreshed] == ["refresh_token"], "the first of the day"
    assert refreshed[0]["detail"]["connection"] == issued["detail"]["connection"]
    app.http.post(f"{house.url}/revoke", data={"token": tokens["access_token"], "client_id": app.client_id})
    assert one(house, "token.revoked")["actor"] == "client"
    app.http.post(f"{house.url}/revoke", data={"token": tokens["refresh_token"], "client_id": app.client_id})
    assert one(house, "connection.revoked")["detail"]["because"] == "given back by the client"


def test_deny(app: App, browser: Browser, house: House) -> None:
    browser.decide(browser.sign_in(browser.open(app.authorize_url())), "deny")
    assert one(house, "consent.refused")["client_id"] == app.client_id
    assert not events(house, "token.issued")


def test_a_stolen_refresh_token(app: App, browser: Browser, house: House) -> None:
    first = app.connect(browser)["refresh_token"]
    app.refresh(app.refresh(first).json()["refresh_token"])
    house.turn_clock(seconds=60)
    app.refresh(first)
    assert [row["event"] for row in events(house)[-2:]] == ["refresh.reused", "connection.revoked"]
    app.refresh(first)
    assert len(events(house, "refresh.reused")) == 1


def test_a_code_that_comes_again(app: App, browser: Browser, house: House) -> None:
    code = app.code(browser)
    app.redeem(code)
    for _ in range(3):
        app.redeem(code)
    assert (
        one(house, "code.replayed")["detail"]["connection"] == one(house, "connection.revoked")["detail"]["connection"]
    )


def test_devices(house: House, browser: Browser) -> None:
    house.add_user()
    app = App(house.url)
    device = Device.of(app)
    device.decide(browser)
    assert one(house, "device.allowed")["actor"] == "user"
    assert device.poll().status_code == 200
    assert one(house, "token.issued")["detail"]["grant"] == "device_code"
    Device.of(app).decide(browser, "deny")
    assert one(house, "device.refused")["client_id"] == app.client_id


def test_api_keys(house: House, browser: Browser) -> None:
    user = house.add_user()
    browser.sign_in()
    made = browser.http.post(f"{house.url}/api-keys", json={"name": "laptop"}).json()
    assert one(house, "api_key.created")["detail"] == {"key": made["id"], "name": "laptop", "scope": "read write"}
    script = App(house.url)
    script.http.post(f"{house.url}/auth/token", json={"apiKey": made["apiKey"]})
    issued = one(house, "token.issued")
    assert (issued["user_id"], issued["client_id"], issued["detail"]["grant"]) == (user, made["id"], "api_key")
    house.wait_for(house.world.last_used.flush())
    script.http.post(f"{house.url}/auth/token", json={"apiKey": made["apiKey"]})
    assert len(events(house, "token.issued")) == 1, "the first of the day"
    browser.http.delete(f"{house.url}/api-keys/{made['id']}")
    assert one(house, "api_key.revoked")["actor_id"] == user
    house.catch_up()
    for _ in range(3):
        assert script.call("whoami", made["apiKey"]).status_code == 401
        assert script.http.post(f"{house.url}/auth/token", json={"apiKey": made["apiKey"]}).status_code == 401
    refused = one(house, "api_key.refused")
    assert refused["detail"] == {"key": made["id"], "because": "revoked"}
    assert (refused["user_id"], refused["actor"]) == (user, "nobody")


def test_what_was_never_a_key_is_recorded_only_where_guesses_are_counted(house: House) -> None:
    script = App(house.url)
    script.call("whoami", "gh_key_" + "x" * 43)
    assert not events(house, "api_key.refused")
    for number in range(32):
        script.http.post(f"{house.url}/auth/token", json={"apiKey": f"gh_key_{number}" + "y" * 40})
    assert len(events(house, "api_key.refused")) == 30
    reached = one(house, "limit.reached")
    assert (reached["detail"], reached["address"]) == ({"limit": "bad-api-key"}, "127.0.0.1")


def test_requests_sent_without_waiting_are_each_somebody_of_their_own(house: House, browser: Browser) -> None:
    """HTTP/1.1 pipelining: the second request begins where the first one is answered, and must not inherit its user."""
    house.add_user()
    browser.sign_in()
    cookies = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
    host = house.url.removeprefix("http://")
    body = json.dumps({"apiKey": "gh_key_" + "p" * 43})
    both = (
        f"GET /account HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n\r\n"
        f"POST /auth/token HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    name, port = host.split(":")
    with socket.create_connection((name, int(port)), timeout=10) as wire:
        wire.sendall(both.encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 401" in answer
    refused = one(house, "api_key.refused")
    assert (refused["actor"], refused["actor_id"]) == ("nobody", None)


def test_a_client_that_cannot_prove_who_it_is(house: House) -> None:
    app = App(house.url)
    app.register(token_endpoint_auth_method="client_secret_post")
    for _ in range(2):
        assert app.token(grant_type="refresh_token", client_secret="wrong").status_code == 401
    assert one(house, "client.refused")["detail"] == {"method": "client_secret_post"}


def test_registrations_that_are_changed_and_ended(house: House) -> None:
    app = App(house.url)
    made = app.register(token_endpoint_auth_method="client_secret_post")
    own = {"Authorization": f"Bearer {made['registration_access_token']}"}
    body = {"client_id": app.client_id, "client_name": "New", "redirect_uris": [app.redirect_uri]}
    body["token_endpoint_auth_method"] = "client_secret_post"
    assert app.http.put(made["registration_client_uri"], json=body, headers=own).status_code == 200
    assert app.http.delete(made["registration_client_uri"], headers=own).status_code == 204
    assert [row["event"] for row in events(house)] == ["client.registered", "client.updated", "client.revoked"]


def test_links(house: House, browser: Browser) -> None:
    said = house.operator("user", "add", "ada@example.com")
    code = said.split("code=")[1].split()[0]
    made = one(house, "link.made")
    assert (made["actor"], made["address"], made["request_id"]) == ("operator", None, None)
    assert made["actor_id"], "who ran the command"
    page = browser.open(f"/password?code={code}")
    browser.send("/password", csrf=page.field("csrf"), code=code, password=PASSWORD)
    used = one(house, "link.used")
    assert (used["user_id"], used["detail"]) == (made["user_id"], {"purpose": "password"})
    assert one(house, "password.changed")["user_id"] == made["user_id"]


def test_the_operator(house: House, browser: Browser) -> None:
    house.add_user()
    house.operator("user", "disable", "ada@example.com")
    house.operator("user", "enable", "ada@example.com")
    house.operator("user", "enable", "nobody@example.com", code=1)
    house.operator("token", "--user", "ada@example.com", "--quiet")
    house.operator("key", "rotate")
    ours = [row["event"] for row in events(house) if row["actor"] == "operator"]
    assert ours == ["user.disabled", "user.enabled", "token.issued", "signing_key.published", "signing_key.published"]


def test_the_sweep(house: House) -> None:
    App(house.url).register()
    house.wait_for(sweep(house.world, house.world.now()))
    assert not events(house, "client.swept")
    house.sql("UPDATE clients SET created_at = created_at - interval '2 days'")
    house.wait_for(sweep(house.world, house.world.now()))
    swept = one(house, "client.swept")
    assert (swept["actor"], swept["detail"]) == ("system", {"count": 1})


# It only grows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET event = 'login'",
        "UPDATE audit_events SET user_id = NULL",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
    ],
)
def test_it_only_grows(app: App, house: House, statement: str) -> None:
    before = events(house)
    assert before
    with pytest.raises(DBAPIError, match="only grows"):
        house.sql(statement)
    assert events(house) == before


@pytest.mark.parametrize(
    ("why", "statement"),
    [
        ("person", "UPDATE audit_events SET event = 'login'"),
        ("person", "UPDATE audit_events SET detail = '{\"a\": 1}'"),
        ("person", "UPDATE audit_events SET user_id = 'usr_other'"),
        ("person", "DELETE FROM audit_events"),
        ("retention", "UPDATE audit_events SET user_id = NULL"),
        ("retention", "TRUNCATE audit_events"),
    ],
)
def test_each_exception_allows_one_thing_only(app: App, house: House, why: str, statement: str) -> None:
    before = events(house)
    with pytest.raises(DBAPIError, match="only grows"):
        house.sql(
            f"{statement} WHERE set_config('gatehouse.audit', '{why}', true) <> ''".replace(
                "TRUNCATE audit_events WHERE", "TRUNCATE audit_events --"
            )
        )
    assert events(house) == before


def test_retention(house: House) -> None:
    """GATEHOUSE_AUDIT_DAYS: a year, unless it is said otherwise; 0 is for ever."""
    for days in (500, 366, 364, 0):
        house.sql(
            "INSERT INTO audit_events (at, event, detail) VALUES (now() - make_interval(days => :days), 'login', '{}')",
            days=days,
        )
    assert house.wait_for(for_ever(house)) == 0
    gone: Any = house.wait_for(sweep(house.world, house.world.now()))
    assert gone["audit_events"] == 2
    assert house.sql("SELECT extract(day FROM now() - at)::int FROM audit_events ORDER BY id") == [(364,), (0,)]


async def for_ever(house: House) -> int:
    async with house.world.db.begin() as db:
        return await audit.forget(db, 0, house.world.now())


def test_a_person_who_is_deleted_is_no_longer_in_it(app: App, browser: Browser, house: House) -> None:
    app.connect(browser)
    user = house.sql("SELECT id FROM users")[0][0]
    other = house.add_user("bob@example.com")
    before = events(house)

    async def forget() -> int:
        async with house.world.db.begin() as db:
            await audit.record(db, "user.disabled", house.world.now(), user_id=other)
            return await audit.forget_person(db, str(user), "ada@example.com")

    assert house.wait_for(forget()) == 4
    after = events(house)
    assert [row["event"] for row in after] == [row["event"] for row in before] + ["user.disabled"]
    assert str(user) not in json.dumps(after)
    assert "ada@example.com" not in json.dumps(after)
    assert "bob@example.com" in json.dumps(after)
    assert after[-1]["user_id"] == other
    assert one(house, "login")["address"] is None
    assert one(house, "token.issued")["actor_id"] == app.client_id


# Nothing happens without its row --------------------------------------------------------------------------------------

Deed = Callable[[App, Browser, House], object]


def redeem(app: App, browser: Browser, house: House) -> object:
    app.redeem(app.code(browser))
    return house.sql("SELECT count(*) FROM connections")


def consent(app: App, browser: Browser, house: House) -> object:
    browser.decide(browser.sign_in(browser.open(app.authorize_url())))
    return house.sql("SELECT count(*) FROM consents")


def register(app: App, browser: Browser, house: House) -> object:
    document = {"redirect_uris": ["https://x.example/cb"], "client_name": "New"}
    app.http.post(f"{house.url}/register", json=document)
    return house.sql("SELECT count(*) FROM clients WHERE client_name = 'New'")


def sign_in(app: App, browser: Browser, house: House) -> object:
    browser.sign_in()
    return house.sql("SELECT count(*) FROM browser_sessions")


def make_key(app: App, browser: Browser, house: House) -> object:
    browser.sign_in()
    browser.http.post(f"{house.url}/api-keys", json={"name": "x"})
    return house.sql("SELECT count(*) FROM api_keys")


def give_back(app: App, browser: Browser, house: House) -> object:
    token = app.connect(browser)["refresh_token"]
    app.http.post(f"{house.url}/revoke", data={"token": token, "client_id": app.client_id})
    return house.sql("SELECT count(*) FROM connections WHERE revoked_at IS NOT NULL")


def device(app: App, browser: Browser, house: House) -> object:
    Device.of(app).decide(browser)
    return house.sql("SELECT count(*) FROM device_codes WHERE allowed")


DEEDS: dict[str, Deed] = {
    "token.issued": redeem,
    "consent.given": consent,
    "client.registered": register,
    "login": sign_in,
    "api_key.created": make_key,
    "connection.revoked": give_back,
    "device.allowed": device,
}


@pytest.mark.parametrize("event", DEEDS)
def test_without_its_row_nothing_happens(app: App, browser: Browser, house: House, event: str) -> None:
    house.sql(f"ALTER TABLE audit_events ADD CONSTRAINT full_disk CHECK (event <> '{event}') NOT VALID")
    try:
        assert DEEDS[event](app, browser, house) == [(0,)]
    finally:
        house.sql("ALTER TABLE audit_events DROP CONSTRAINT full_disk")


# Reading it -----------------------------------------------------------------------------------------------------------


def test_list_and_export(app: App, browser: Browser, house: House) -> None:
    app.connect(browser)
    Browser(house.url).sign_in(password="not the right password")
    newest = json.loads(house.operator("audit", "list", "--json", "--limit", "2"))
    assert [row["event"] for row in newest] == ["login.refused", "token.issued"]
    listed = house.operator("audit", "list", "--event", "login")
    assert "login.refused" in listed
    assert "token.issued" not in listed
    ada = json.loads(house.operator("audit", "list", "--json", "--user", "ada@example.com"))
    assert [row["event"] for row in ada] == ["token.issued", "consent.given", "login", "user.created"]
    mine = json.loads(house.operator("audit", "list", "--json", "--by", app.client_id))
    assert [row["event"] for row in mine] == ["token.issued"]
    assert "Nothing of that kind" in house.operator("audit", "list", "--by", "operator")
    assert "Nothing of that kind" in house.operator("audit", "list", "--since", "2999-01-01")
    assert "--since is how far" in house.operator("audit", "list", "--since", "soon", code=2)
    assert "has no account" in house.operator("audit", "list", "--user", "nobody@example.com", code=1)
    lines = [json.loads(line) for line in house.operator("audit", "export").splitlines()]
    assert [row["event"] for row in lines][:2] == ["user.created", "client.registered"]
    assert lines[-1]["event"] == "audit.exported", "taking it away is recorded too"
    table = list(csv.DictReader(io.StringIO(house.operator("audit", "export", "--format", "csv", "--since", "1d"))))
    assert [row["event"] for row in table][: len(lines)] == [row["event"] for row in lines]
    assert json.loads(table[2]["detail"]) == lines[2]["detail"]
    assert "json or csv" in house.operator("audit", "export", "--format", "xml", code=2)


def test_names_that_strangers_chose_do_no_harm_in_lists(house: House) -> None:
    app = App(house.url)
    app.register(client_name="[/bold]=cmd|' /C calc'!A0")
    assert "[/bold]=cmd" in house.operator("audit", "list")
    assert "[/bold]=cmd" in house.operator("client", "list")


def test_a_hundred_thousand_rows(house: House) -> None:
    """A page of the newest, of a rare event and of one person, and the sweep, are found by an index."""
    house.sql(
        "INSERT INTO audit_events (at, event, user_id, detail) "
        "SELECT now() - interval '1 day', 'token.issued', 'usr_' || i % 1000, '{}' FROM generate_series(1, 100000) i"
    )
    house.sql("INSERT INTO audit_events (at, event, user_id, detail) VALUES (now(), 'login', 'usr_7', '{}')")
    house.sql("ANALYZE audit_events")

    async def slowest() -> float:
        took = []
        for wanted in (log.Wanted(), log.Wanted(event="login"), log.Wanted(user_id="usr_7")):
            async with house.world.db.connect() as db:
                started = os.times().elapsed
                assert await log.newest(db, wanted)
                took.append(os.times().elapsed - started)
        return max(took)

    assert float(str(house.wait_for(slowest()))) < 1.0


# No secrets -----------------------------------------------------------------------------------------------------------


def test_no_secret_in_the_audit_log_the_log_or_the_traces(
    house: House, dsn: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every door is told secrets of its kind; none of them is written anywhere but where it belongs."""
    loud = House(dsn, log_level="debug").start()
    canaries = [PASSWORD, "wrong-password-canary", "typed-in-the-wrong-field-canary"]
    app, browser = App(loud.url), Browser(loud.url)
    try:
        canaries.append(loud.operator("user", "add", "ada@example.com").split("code=")[1].split()[0])
        page = browser.open(f"/password?code={canaries[-1]}")
        browser.send("/password", csrf=page.field("csrf"), code=canaries[-1], password=PASSWORD)
        canaries.append(page.field("csrf"))
        browser.send("/password", csrf=page.field("csrf"), code="gh_link_canary", password="password-canary-canary")
        canaries += ["gh_link_canary", "password-canary-canary"]
        Browser(loud.url).sign_in()
        Browser(loud.url).sign_in(password="wrong-password-canary")
        Browser(loud.url).sign_in(email="typed-in-the-wrong-field-canary", password="x")
        made = app.register(token_endpoint_auth_method="client_secret_post")
        canaries += [made["client_secret"], made["registration_access_token"]]
        own = {"Authorization": f"Bearer {made['registration_access_token']}"}
        app.http.get(made["registration_client_uri"], headers=own)
        app.http.get(made["registration_client_uri"], headers={"Authorization": "Bearer gh_reg_canary"})
        app.token(grant_type="refresh_token", client_secret="secret-canary")
        code = app.code(browser, state="state-canary", nonce="nonce-canary", scope="openid read")
        tokens = app.redeem(code).json()
        again = app.refresh(tokens["refresh_token"]).json()
        app.redeem(code)
        app.refresh("gh_rt_canary")
        canaries += [code, "state-canary", "nonce-canary", app.code_verifier, "gh_rt_canary", "gh_reg_canary"]
        canaries += ["secret-canary", *(tokens[name] for name in ("access_token", "refresh_token", "id_token"))]
        canaries += [again["access_token"], again["refresh_token"]]
        owned = browser.http.post(f"{loud.url}/api-keys", json={"name": "x"}).json()
        key = owned["apiKey"]
        short = app.http.post(f"{loud.url}/auth/token", json={"apiKey": key}).json()["token"]
        app.http.post(f"{loud.url}/auth/token", json={"apiKey": "gh_key_canary"})
        app.call("add_note", key, text="argument-canary")
        browser.http.delete(f"{loud.url}/api-keys/{owned['id']}")
        loud.catch_up()
        app.call("whoami", key)
        app.http.post(f"{loud.url}/introspect", data={"token": short, "client_id": app.client_id})
        app.http.post(f"{loud.url}/revoke", data={"token": short, "client_id": app.client_id})
        canaries += [key, short, "gh_key_canary", "argument-canary"]
        device = Device.of(App(loud.url))
        device.decide(browser)
        given = device.poll().json()
        canaries += [device.device_code, given["access_token"], given["refresh_token"]]
        browser.open(f"/nothing?token=query-canary&code={code}")
        canaries += ["query-canary", *browser.http.cookies.values()]
        loud.wait_for(loud.world.traces.flush())
        written = {
            "audit log": json.dumps(loud.sql("SELECT audit_events::text FROM audit_events")),
            "traces": json.dumps(loud.sql("SELECT trace_steps::text FROM trace_steps")),
        }
    finally:
        loud.stop()
        logs.configure("error")
    written["log"] = capfd.readouterr().err
    assert all(len(text) > 3000 for text in written.values()), {name: len(text) for name, text in written.items()}
    found = [(name, canary) for name, text in written.items() for canary in canaries if canary in text]
    assert not found

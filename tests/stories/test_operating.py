"""The operator: every command, against a server that runs."""

from __future__ import annotations

import json
from typing import Any

from tests.actors import App, Browser, http
from tests.conftest import House


def test_people_come_and_go(house: House, browser: Browser) -> None:
    house.operator("user", "add", "Ada@Example.com", "--admin", "--password-stdin", input="four words make one\n")
    assert browser.sign_in().url.endswith("/account")
    assert "has an account already" in house.operator("user", "add", "ada@example.com", code=1)
    assert "not an e-mail" in house.operator("user", "add", "ada", code=2)
    assert "at least 15" in house.operator("user", "add", "b@example.com", "--password-stdin", input="short\n", code=2)
    people = json.loads(house.operator("user", "list", "--json"))
    assert [(person["email"], person["admin"]) for person in people] == [("ada@example.com", True)]
    house.operator("user", "disable", "ada@example.com")
    assert "/login" in browser.open("/account").url
    assert browser.sign_in().status == 400
    house.operator("user", "enable", "ada@example.com")
    house.operator("user", "reset-password", "ada@example.com", "--password-stdin", input="another four words\n")
    assert browser.sign_in(password="another four words").url.endswith("/account")
    assert "has no account" in house.operator("user", "disable", "nobody@example.com", code=1)


def test_disabling_somebody_ends_their_tokens(app: App, browser: Browser, house: House) -> None:
    tokens = app.connect(browser)
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    house.operator("user", "disable", "ada@example.com")
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    house.operator("user", "enable", "ada@example.com")
    house.turn_clock(seconds=3)
    again = app.refresh(tokens["refresh_token"]).json()
    assert app.call("whoami", again["access_token"]).status_code == 200


def test_keys_for_scripts(house: House) -> None:
    house.add_user()
    app = App(house.url)
    key = house.operator(
        "api-key", "add", "cron", "--user", "ada@example.com", "--scope", "read", "--expires", "30d", "--quiet"
    ).strip()
    assert app.call("whoami", key).status_code == 200
    assert app.call("add_note", key, text="x").status_code == 403
    listed = json.loads(house.operator("api-key", "list", "--json"))
    assert [(entry["name"], entry["scope"], entry["user"]) for entry in listed] == [
        ("cron", ["read"], "ada@example.com")
    ]
    refused = house.operator("api-key", "add", "cron", "--user", "ada@example.com", "--expires", "1s", code=2)
    assert refused == "gatehouse: --expires must be a duration such as 30d, 12h or 45m\n"
    house.operator("api-key", "revoke", "cron")
    house.catch_up()
    assert app.call("whoami", key).status_code == 401
    assert "no key" in house.operator("api-key", "revoke", "cron", code=1)
    assert "no account" in house.operator("api-key", "add", "x", "--user", "nobody@example.com", code=1)
    assert "scopes are" in house.operator("api-key", "add", "x", "--user", "ada@example.com", "--scope", "all", code=2)
    assert "duration" in house.operator("api-key", "add", "x", "--user", "ada@example.com", "--expires", "soon", code=2)


def test_apps_by_hand_and_their_end(house: House, browser: Browser) -> None:
    house.add_user()
    made = json.loads(
        house.operator("client", "add", "Chat", "--redirect-uri", "http://127.0.0.1:3030/callback", "--json")
    )
    app = App(house.url, client_id=made["client_id"], client_secret=made["client_secret"])
    tokens = app.connect(browser)
    assert "Chat" in house.operator("client", "list")
    assert json.loads(house.operator("client", "show", app.client_id))["client_name"] == "Chat"
    connections = json.loads(house.operator("connection", "list", "--json"))
    assert [(c["client_name"], c["email"], c["redirect_host"]) for c in connections] == [
        ("Chat", "ada@example.com", "127.0.0.1")
    ]
    house.operator("connection", "revoke", connections[0]["id"])
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert "no open connection" in house.operator("connection", "revoke", connections[0]["id"], code=1)
    tokens = app.connect(browser)
    house.operator("client", "revoke", app.client_id)
    house.catch_up()
    assert app.call("whoami", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).status_code == 401
    assert browser.open(app.authorize_url()).status == 400
    assert "is plain http" in house.operator("client", "add", "Bad", "--redirect-uri", "http://evil.example/", code=2)


def test_a_token_for_trying_things_out(house: House) -> None:
    assert "nobody has an account" in house.operator("token", code=1)
    house.add_user()
    token = house.operator("token", "--scope", "read", "--quiet").strip()
    assert App(house.url).call("whoami", token).json()["result"]["structuredContent"]["scopes"] == ["read"]
    house.add_user("bob@example.com")
    assert "more than one user" in house.operator("token", code=2)
    assert house.operator("token", "--user", "bob@example.com", "--quiet").startswith("eyJ")
    assert "no scope" in house.operator("token", "--scope", "all", code=2)


def test_rotation_overlaps_and_no_token_fails(app: App, browser: Browser, house: House) -> None:
    """RFC 7517: a new key is published before it signs, an old one verifies until its tokens end."""
    tokens = app.connect(browser)
    published = house.operator("key", "rotate").split()[1].rstrip(";")
    house.wait_for(house.world.live.load_keys())
    keys = [key["kid"] for key in http().get(f"{house.url}/.well-known/jwks.json").json()["keys"]]
    assert published in keys
    assert len(keys) >= 2
    states = {row["kid"]: row["state"] for row in json.loads(house.operator("key", "list", "--json"))}
    assert states[published] == "upcoming"
    assert app.call("whoami", tokens["access_token"]).status_code == 200
    house.turn_clock(seconds=361)
    renewed = app.refresh(tokens["refresh_token"]).json()
    assert house.world.live.ring.signer(house.clock()).kid == published
    for token in (tokens["access_token"], renewed["access_token"]):
        assert app.call("whoami", token).status_code == 200
    house.turn_clock(seconds=3601 + 60)
    left = [key["kid"] for key in http().get(f"{house.url}/.well-known/jwks.json").json()["keys"]]
    assert published in left
    assert len(left) < len(keys)
    # For the tests that follow, with the clock turned back: a key that signs now.
    house.operator("key", "rotate", "--now")
    house.wait_for(house.world.live.load_keys())


def test_a_key_made_elsewhere_is_known_at_once(app: App, house: House) -> None:
    """An emergency rotation: the first token signed with the new key must not fail here."""
    house.operator("key", "rotate", "--now")
    token = house.operator("token", "--quiet").strip()
    assert app.call("whoami", token).status_code == 200


def test_the_doctor_finds_nothing_and_the_configuration_keeps_its_secrets(house: House) -> None:
    checked = house.operator("doctor")
    assert "FAIL" not in checked
    assert "answers with the right issuer" in checked
    shown = house.operator("config", "show", "--json")
    settings = {row["setting"]: row for row in json.loads(shown)}
    assert settings["GATEHOUSE_SECRET_KEY"]["value"] == "********"
    assert settings["GATEHOUSE_DATABASE_URL"]["value"] == "********"
    assert settings["GATEHOUSE_PUBLIC_URL"]["source"] == "environment"
    assert settings["GATEHOUSE_CODE_LIFETIME"]["source"] == "default"
    assert "Nothing to do" in house.operator("migrate")


def test_more_is_swept_in_a_round_than_in_one_transaction(house: House) -> None:
    """Else a table whose rows come faster than a thousand a minute (a proof for each call, RFC 9449) would never be small again."""
    from app.operate.sweep import sweep

    house.sql("INSERT INTO used_once SELECT int4send(i), now() - interval '1 hour' FROM generate_series(1, 2500) i")
    house.sql(
        "INSERT INTO audit_events (at, event, detail) "
        "SELECT now() - interval '2 years', 'login', '{}' FROM generate_series(1, 2500)"
    )
    gone: Any = house.wait_for(sweep(house.world, house.clock()))
    assert gone["used_once"] == 2500
    assert gone["audit_events"] == 2500


def test_what_expired_is_swept_and_what_is_used_stays(app: App, browser: Browser, house: House) -> None:
    from app.operate.sweep import sweep

    app.connect(browser)
    App(house.url).register(client_name="Never used")
    house.wait_for(house.world.last_used.flush())
    house.turn_clock(days=2)
    house.wait_for(sweep(house.world, house.clock()))
    assert house.sql("SELECT client_name FROM clients") == [("Quill",)]
    assert house.sql("SELECT count(*) FROM codes") == [(0,)]
    assert house.sql("SELECT count(*) FROM connections") == [(1,)]

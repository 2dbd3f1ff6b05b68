"""RFC 6749 §6, OAuth 2.1 §4.3, RFC 9700 §4.14: refresh tokens rotate, forgive a lost answer, and die of theft."""

from __future__ import annotations

from tests.actors import App, Browser
from tests.conftest import House


def test_a_refresh_gives_new_tokens_of_the_same_scope(app: App, browser: Browser) -> None:
    first = app.connect(browser)
    response = app.refresh(first["refresh_token"])
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    second = response.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == "read write"
    assert app.call("whoami", second["access_token"]).status_code == 200


def test_within_the_grace_the_same_successor_is_given_again(app: App, browser: Browser, house: House) -> None:
    """Parallel processes and lost answers are normal life for MCP clients."""
    first = app.connect(browser)
    second = app.refresh(first["refresh_token"]).json()
    house.turn_clock(seconds=29)
    again = app.refresh(first["refresh_token"])
    assert again.status_code == 200
    assert again.json()["refresh_token"] == second["refresh_token"]
    assert app.refresh(second["refresh_token"]).status_code == 200


def test_after_the_grace_reuse_ends_the_family(app: App, browser: Browser, house: House) -> None:
    """OAuth 2.1 §4.3.1, with a line in the audit log; other connections of the same app and user live on."""
    other = app.connect(Browser(house.url))
    first = app.connect(browser)
    second = app.refresh(first["refresh_token"]).json()
    house.turn_clock(seconds=31)
    assert app.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    house.catch_up()
    assert app.call("whoami", second["access_token"]).status_code == 401
    assert app.call("whoami", other["access_token"]).status_code == 200
    assert app.refresh(other["refresh_token"]).status_code == 200
    assert house.sql("SELECT detail->>'because' FROM audit_events WHERE event = 'connection.revoked'") == [
        ("refresh token reuse",)
    ]


def test_no_grace_once_the_successor_was_used(app: App, browser: Browser) -> None:
    first = app.connect(browser)
    second = app.refresh(first["refresh_token"]).json()
    third = app.refresh(second["refresh_token"]).json()
    assert app.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.refresh(third["refresh_token"]).json()["error"] == "invalid_grant"


def test_scope_may_be_narrowed_but_never_widened(app: App, browser: Browser) -> None:
    """§6: and a narrower access token does not narrow the connection."""
    tokens = app.connect(browser, scope="read")
    assert app.refresh(tokens["refresh_token"], scope="read write").json()["error"] == "invalid_scope"
    tokens = app.connect(browser, scope="read write")
    narrowed = app.refresh(tokens["refresh_token"], scope="read").json()
    assert narrowed["scope"] == "read"
    assert app.call("add_note", narrowed["access_token"], text="x").status_code == 403
    assert app.refresh(narrowed["refresh_token"]).json()["scope"] == "read write"


def test_a_refused_refresh_uses_nothing_up(app: App, browser: Browser, house: House) -> None:
    tokens = app.connect(browser)
    thief = App(house.url)
    thief.register(client_name="Thief")
    assert thief.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.refresh(tokens["refresh_token"], resource="https://x.example/").json()["error"] == "invalid_target"
    assert app.refresh(tokens["refresh_token"], resource=f"{house.url}/mcp").status_code == 200


def test_idle_and_absolute_ends(app: App, browser: Browser, house: House) -> None:
    """30 days unused, 90 days in all."""
    idle = app.connect(browser)
    house.turn_clock(days=31)
    assert app.refresh(idle["refresh_token"]).json()["error"] == "invalid_grant"
    tokens = app.connect(Browser(house.url))
    for _ in range(3):
        house.turn_clock(days=25)
        tokens = app.refresh(tokens["refresh_token"]).json()
    house.turn_clock(days=16)
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_what_was_never_a_refresh_token_of_ours(app: App, browser: Browser) -> None:
    tokens = app.connect(browser)
    token = tokens["refresh_token"]
    forged = [token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A", "gh_rt_", "gh_rt_" + "A" * 90, "x", "é"]
    for wrong in [*forged, tokens["access_token"]]:
        response = app.refresh(wrong)
        assert (response.status_code, response.json()["error"]) == (400, "invalid_grant"), wrong
    assert app.refresh(token).status_code == 200


def test_a_disabled_user_does_not_refresh(app: App, browser: Browser, house: House) -> None:
    tokens = app.connect(browser)
    house.sql("UPDATE users SET disabled_at = now()")
    assert app.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_nothing_secret_is_stored(app: App, browser: Browser, house: House) -> None:
    """OAuth 2.1 §7.1: no code, token, secret, cookie or password is in any table."""
    app.register(token_endpoint_auth_method="client_secret_post")
    code = app.code(browser)
    tokens = app.redeem(code).json()
    canaries = [code, tokens["refresh_token"], tokens["access_token"], str(app.client_secret), app.code_verifier]
    canaries += [*browser.http.cookies.values(), "four words make one"]
    for (table,) in house.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        dump = str(house.sql(f"SELECT t::text FROM {table} t"))
        assert not [canary for canary in canaries if canary in dump], table

"""What the operator reads of clients that connect, or do not: `gatehouse trace` after real flows, whole and broken."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.db import embedded
from app.db.engine import UNAVAILABLE
from app.db.migrate import upgrade
from app.operate.sweep import sweep
from app.traces import recording
from tests.actors import App, Browser, http
from tests.conftest import ROOT, House
from tests.factors import first_step, second_step, set_up

DISCOVERY = ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server")


@pytest.fixture
def traced(house: House) -> House:
    """With nothing left of what came before."""
    house.turn_clock(minutes=2)
    house.clock.ahead = timedelta(0)
    house.add_user()
    return house


@pytest.fixture
def quill(traced: House) -> App:
    """Not registered yet."""
    return App(traced.url)


def look_around(app: App) -> None:
    """What every client does first."""
    assert app.call("whoami", None).status_code == 401
    for path in DISCOVERY:
        assert app.http.get(app.url + path).status_code == 200


def read(house: House, *arguments: str, later: int = 0) -> list[dict[str, Any]]:
    """What `gatehouse trace --json` says, `later` seconds after the last step."""
    house.wait_for(house.world.traces.flush())
    house.sql("UPDATE trace_steps SET at = at - make_interval(secs => :later)", later=later)
    found: list[dict[str, Any]] = json.loads(house.operator("trace", "--json", *arguments))
    return found


def only(house: House, later: int = 0) -> dict[str, Any]:
    found = read(house, later=later)
    assert len(found) == 1, json.dumps(found, indent=1)
    return found[0]


def test_a_whole_flow_is_one_attempt_and_connected(traced: House, quill: App, browser: Browser) -> None:
    look_around(quill)
    quill.register()
    tokens = quill.connect(browser)
    for _ in range(3):
        assert quill.call("whoami", tokens["access_token"]).status_code == 200
    told = only(traced)
    assert (told["state"], told["client_name"], told["account"]) == ("connected", "Quill", "ada@example.com")
    assert "Quill is connected in the name of ada@example.com, with scope read write" in told["verdict"]
    whats = [step["what"] for step in told["steps"]]
    assert whats[:5] == ["mcp", "discovery", "discovery", "registration", "authorize"]
    assert whats[-2:] == ["token", "mcp"], "of the calls that went well, the first"
    assert {"sign-in", "consent"} <= set(whats)
    assert told["connection_id"].startswith("con_")
    assert "next_step" not in told


def test_a_refresh_is_recorded_once(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    tokens = quill.connect(browser)
    for _ in range(3):
        tokens = quill.refresh(tokens["refresh_token"]).json()
        quill.call("whoami", tokens["access_token"])
    grants = [step["facts"]["grant_type"] for step in only(traced)["steps"] if step["what"] == "token"]
    assert grants == ["authorization_code", "refresh_token"]
    assert [step["what"] for step in only(traced)["steps"]].count("mcp") == 1, "nor the calls with each new token"


def test_only_metadata(traced: House, quill: App) -> None:
    look_around(quill)
    assert only(traced)["state"] == "in progress"
    told = only(traced, later=90)
    assert told["state"] == "abandoned"
    assert "never registered" in told["verdict"]
    assert "/register" in told["next_step"]


def test_a_refused_registration_says_why(traced: House, quill: App) -> None:
    look_around(quill)
    refused = quill.http.post(f"{quill.url}/register", json={"redirect_uris": ["http://app.example/cb"]})
    told = only(traced)
    assert told["state"] == "failed"
    assert "http://app.example/cb is plain http" in told["verdict"]
    assert refused.json()["request_id"] in {step["request_id"] for step in told["steps"]}


def test_registered_and_never_seen_in_a_browser(traced: House, quill: App) -> None:
    quill.register()
    told = only(traced, later=90)
    assert (told["state"], told["verdict"]) == ("abandoned", "Quill registered and never opened the sign-in page.")


def test_an_unknown_client(traced: House, quill: App, browser: Browser) -> None:
    quill.client_id = "client_gone"
    page = browser.open(quill.authorize_url())
    told = only(traced)
    assert "client_gone, which is not registered here" in told["verdict"]
    assert "add it again" in told["next_step"]
    identifier = page.headers["x-request-id"]
    assert identifier in page.text
    assert json.loads(traced.operator("trace", identifier, "--json"))["id"] == told["id"]
    assert "is not registered here" in traced.operator("trace", identifier)


def test_a_removed_client_is_told_how_to_come_back(traced: House, quill: App, browser: Browser) -> None:
    """The operator reads the same steps as the person at the browser."""
    quill.redirect_uri = "http://localhost:4711/callback"
    quill.register(client_name="Codex")
    traced.operator("client", "revoke", quill.client_id)
    browser.open(quill.authorize_url())
    told = read(traced)[-1]
    assert told["verdict"].startswith(f"Codex came with the client id {quill.client_id}, which is not registered here")
    assert "Its user was shown what to do in Codex: Run `codex mcp logout NAME`" in told["next_step"]
    assert told["steps"][-1]["error"] == "invalid_request"


def test_a_redirect_elsewhere_names_both(traced: House, quill: App, browser: Browser) -> None:
    quill.register(redirect_uris=["https://app.example/cb"])
    browser.open(quill.authorize_url(redirect_uri="https://other.example/back?secret=canary"))
    told = only(traced)
    assert (
        "wants to be answered at https://other.example/back, but registered https://app.example/cb" in told["verdict"]
    )
    assert "canary" not in json.dumps(told)


@pytest.mark.parametrize("changed", [{"code_challenge": None}, {"code_challenge_method": "plain"}])
def test_without_pkce(traced: House, quill: App, browser: Browser, changed: dict[str, None]) -> None:
    quill.register()
    browser.open(quill.authorize_url(**changed))
    assert "without usable PKCE" in only(traced)["verdict"]


def test_nobody_signs_in(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    page = browser.open(quill.authorize_url())
    assert "turn of the person" in only(traced, later=120)["verdict"]
    for _ in range(2):
        page = browser.sign_in(page, password="wrong")
        assert page.headers["x-request-id"] in page.text
    told = only(traced, later=1900)
    assert (told["state"], "given 2 times" in told["verdict"]) == ("abandoned", True)


def test_the_second_step_is_not_taken(traced: House, quill: App, browser: Browser) -> None:
    """And what the operator does about a lost phone."""
    owner = Browser(traced.url)
    owner.sign_in()
    phone = set_up(traced, owner)
    traced.sql("TRUNCATE trace_steps")
    quill.register()
    second_step(browser, first_step(browser, browser.open(quill.authorize_url())), code="000000")
    assert "the person at the second step" in only(traced, later=120)["verdict"]
    told = only(traced, later=1900)
    assert (told["state"], told["verdict"]) == (
        "abandoned",
        "The password was right, and the second step was not taken.",
    )
    assert "reset-factors" in told["next_step"]
    assert "password right, sent to the second step" in json.dumps(told)
    assert phone.key not in json.dumps(told)
    traced.sql("TRUNCATE trace_steps")
    page = second_step(browser, first_step(browser, browser.open(quill.authorize_url())), code=phone.code(1))
    browser.decide(page)
    assert "the code was never redeemed" in only(traced, later=90)["verdict"]


def test_consent_denied(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    browser.decide(browser.sign_in(browser.open(quill.authorize_url())), "deny")
    assert only(traced)["verdict"] == "The person pressed Deny."


def test_a_code_that_is_never_redeemed(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    quill.code(browser)
    assert only(traced)["state"] == "in progress"
    told = only(traced, later=90)
    assert "sent to 127.0.0.1 with a code, but the code was never redeemed" in told["verdict"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"code_verifier": "x" * 43}, "the code_verifier does not fit"),
        ({"redirect_uri": "http://127.0.0.1:1/other"}, "the redirect_uri is not that of the authorization request"),
        ({"code": "gh_code_unknown"}, "the code is unknown"),
    ],
)
def test_a_code_that_is_refused(traced: House, quill: App, browser: Browser, spoil: dict[str, str], said: str) -> None:
    quill.register()
    quill.redeem(quill.code(browser), **spoil)
    told = only(traced)
    assert (told["state"], said in told["verdict"]) == ("failed", True), told["verdict"]


def test_an_expired_and_a_replayed_code(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    code = quill.code(browser)
    traced.turn_clock(seconds=70)
    quill.redeem(code)
    assert "the code expired" in only(traced)["verdict"]
    traced.sql("TRUNCATE trace_steps")
    code = quill.code(browser)
    quill.redeem(code)
    quill.redeem(code)
    assert "the code was used before" in only(traced)["verdict"]


def test_a_removed_client_at_the_token_endpoint(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    code = quill.code(browser)
    traced.operator("client", "revoke", quill.client_id)
    quill.redeem(code)
    assert "not registered here" in only(traced)["verdict"]


def test_a_token_and_then_silence(traced: House, quill: App, browser: Browser) -> None:
    """The edge filter that eats /mcp after a perfect sign-in."""
    look_around(quill)
    quill.register()
    quill.connect(browser)
    assert only(traced)["state"] == "in progress"
    told = only(traced, later=90)
    assert told["verdict"] == "Quill was given a token, and no call of /mcp came within 60 s."
    assert "Block AI bots" in told["next_step"]


def test_a_token_that_is_lost_on_the_way(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    quill.connect(browser)
    quill.call("whoami", None)
    assert "Authorization header" in only(traced)["next_step"]


def test_a_token_for_elsewhere(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    quill.connect(browser)
    other = House(traced.dsn, public_url="http://localhost:1").start()
    try:
        token = other.operator("token", "--user", "ada@example.com", "--quiet").strip()
    finally:
        other.stop()
    assert quill.call("whoami", token).status_code == 401
    assert "not for here: the access token is" in only(traced)["verdict"]


def test_a_scope_that_is_asked_for_again_and_again(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    token = quill.connect(browser, scope="read")["access_token"]
    quill.call("whoami", token)
    quill.call("add_note", token, text="x")
    told = only(traced)
    assert (told["state"], "1 of its calls needed a scope" in told["verdict"]) == ("connected", True)
    for _ in range(3):
        quill.call("add_note", token, text="x")
    told = only(traced)
    assert told["state"] == "failed"
    assert "with scope read and calls again and again what needs read write" in told["verdict"]


def test_a_host_and_an_origin_that_are_not_served(traced: House, quill: App) -> None:
    answer = quill.mcp({}, None, {"Host": "mcp.example"})
    assert answer.status_code == 421
    assert "add mcp.example to GATEHOUSE_ALLOWED_HOSTS" in only(traced)["next_step"]
    refused = quill.mcp({}, None, {"Origin": "https://page.example"})
    assert "https://page.example to GATEHOUSE_ALLOWED_ORIGINS" in only(traced)["next_step"]
    assert traced.operator("trace", refused.json()["request_id"])


def test_a_refresh_token_that_comes_again(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    tokens = quill.connect(browser)
    newer = quill.refresh(tokens["refresh_token"]).json()
    quill.refresh(newer["refresh_token"])
    traced.turn_clock(seconds=40)
    assert quill.refresh(tokens["refresh_token"]).status_code == 400
    told = only(traced)
    assert "An old refresh token came a second time" in told["verdict"]


def test_a_hosted_client_looks_from_a_server_and_signs_in_in_a_browser(traced: House, browser: Browser) -> None:
    """Two addresses in one attempt; here two programs, since all of the test comes from one."""
    server, person = App(traced.url, http=http(headers={"User-Agent": "hosted"})), browser
    server.register()
    read(traced)
    traced.sql("TRUNCATE trace_steps")
    look_around(server)
    server.call("whoami", server.connect(person)["access_token"])
    told = only(traced)
    assert told["state"] == "connected"
    assert [step["what"] for step in told["steps"]][:3] == ["mcp", "discovery", "discovery"]
    assert len({step["user_agent"] for step in told["steps"]}) == 2


def test_two_people_with_one_client_id_are_two_attempts(traced: House, quill: App) -> None:
    traced.add_user("bob@example.com")
    quill.register()
    for email in ("ada@example.com", "bob@example.com"):
        browser = Browser(traced.url)
        mine = App(traced.url, client_id=quill.client_id)
        page = browser.decide(browser.sign_in(browser.open(mine.authorize_url()), email=email))
        mine.call("whoami", mine.redeem(page.answer["code"]).json()["access_token"])
    assert [told["account"] for told in read(traced)] == ["ada@example.com", "bob@example.com"]
    assert {told["state"] for told in read(traced)} == {"connected"}


def test_an_api_key(traced: House, quill: App) -> None:
    key = traced.operator("api-key", "add", "laptop", "--user", "ada@example.com", "--quiet").strip()
    quill.call("whoami", key)
    quill.http.post(f"{quill.url}/auth/token", json={"apiKey": key + "x"})
    assert key[:20] not in json.dumps(read(traced))
    assert {told["state"] for told in read(traced)} == {"connected", "failed"}


def test_the_list_can_be_narrowed(traced: House, quill: App, browser: Browser) -> None:
    quill.register()
    quill.call("whoami", quill.connect(browser)["access_token"])
    other = App(traced.url)
    other.register(client_name="Brush", redirect_uris=["https://brush.example/cb"])
    browser.open(other.authorize_url(redirect_uri="https://x.example/"))
    assert [told["client_name"] for told in read(traced)] == ["Quill", "Brush"]
    assert [told["client_name"] for told in read(traced, "--failed")] == ["Brush"]
    assert [told["client_name"] for told in read(traced, "--client", "quil")] == ["Quill"]
    assert [told["client_name"] for told in read(traced, "--client", other.client_id)] == ["Brush"]
    assert read(traced, "--since", "1h", later=7200) == []
    assert "Brush" in traced.operator("trace", other.client_id)
    assert "--since" in traced.operator("trace", "--since", "soon", code=2)
    assert "--client" in traced.operator("trace", "x", "--follow", code=2)
    assert "nothing in the trace" in traced.operator("trace", "nobody", code=1)
    assert "CONNECTED" in traced.operator("trace", "--since", "3h")


def test_steps_are_shown_as_they_come(traced: House, quill: App, browser: Browser) -> None:
    """`--follow`, as an operator watches somebody connect: each step, and the verdict when there is one."""
    command = [sys.executable, "-u", "-m", "app", "trace", "--follow"]
    with subprocess.Popen(command, text=True, cwd=ROOT, env=traced.environment(), stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        try:
            said = watching.stdout.readline()
            assert said.startswith("What clients do is shown here")
            look_around(quill)
            quill.register()
            quill.call("whoami", quill.connect(browser)["access_token"])
            for line in watching.stdout:
                said += line
                if "is connected in the name of ada@example.com" in line:
                    break
        finally:
            watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
    for words in ("called /mcp without a token", "registered as Quill", "code given", "token issued", "CONNECTED"):
        assert words in said


def test_every_error_body_and_page_has_an_id_that_is_found(traced: House, quill: App, browser: Browser) -> None:
    app, asked = quill, quill.http
    app.register()
    answers = [
        asked.post(f"{app.url}/token", data={"grant_type": "x"}),
        asked.get(f"{app.url}/token"),
        asked.post(f"{app.url}/register", json=[]),
        asked.post(f"{app.url}/revoke", data={}),
        asked.get(f"{app.url}/api-keys"),
        asked.get(f"{app.url}/nothing/here"),
        asked.put(f"{app.url}/api-keys"),
        app.call("whoami", None),
        app.call("whoami", "nonsense"),
        asked.get(f"{app.url}/authorize"),
        asked.get(f"{app.url}/consent"),
        asked.get(f"{app.url}/login?req=x"),
        asked.get(f"{app.url}/setup"),
        asked.get(f"{app.url}/nothing", headers={"Accept": "text/html"}),
        asked.post(f"{app.url}/login"),
    ]
    token = app.connect(browser)["access_token"]
    unreadable = app.mcp("{", token)
    assert unreadable.json()["error"]["data"]["request_id"] == unreadable.headers["x-request-id"]
    read(traced)
    found = {row[0] for row in traced.sql("SELECT request_id FROM trace_steps")}
    for answer in [*answers, unreadable]:
        assert answer.status_code >= 400
        assert answer.headers["x-request-id"] in answer.text, answer.request.url
        assert answer.headers["x-request-id"] in found, answer.request.url


def test_no_secret_is_in_the_trace(traced: House, browser: Browser) -> None:
    app = App(traced.url)
    app.register(token_endpoint_auth_method="client_secret_post")
    code = app.code(browser, state="state-canary", login_hint="hint-canary")
    tokens = app.redeem(code).json()
    newer = app.refresh(tokens["refresh_token"]).json()
    app.call("whoami", newer["access_token"])
    app.refresh("gh_rt_" + "canary" * 9)
    app.call("whoami", "bearer-canary")
    app.mcp({}, "bearer-canary", {"Host": "x.example"})
    key = browser.http.post(f"{traced.url}/api-keys", json={"name": "x"}).json()["apiKey"]
    app.http.post(f"{traced.url}/auth/token", json={"apiKey": key})
    app.http.get(f"{traced.url}/nothing/{key}/{newer['access_token']}", params={"token": "query-canary"})
    app.http.get(f"{traced.url}/nothing", headers={"User-Agent": key})
    browser.open(app.authorize_url(redirect_uri="https://user:canary-userinfo@other.example/cb?x=canary-query"))
    browser.sign_in(Browser(traced.url).open(app.authorize_url()), password="password-canary")
    read(traced)
    rows = json.dumps(traced.sql("SELECT * FROM trace_steps"), default=str)
    assert rows.count('"') > 200
    said = [code, *tokens.values(), *newer.values(), app.client_secret, app.code_verifier, app.code_challenge, key]
    secrets = [value for value in said if isinstance(value, str) and len(value) > 20]
    assert len(secrets) == 9
    secrets += ["canary", "four words", "password-canary", *browser.http.cookies.values()]
    assert not [secret for secret in secrets if secret in rows]


def test_hostile_words_are_stored_tame(traced: House, browser: Browser) -> None:
    app = App(traced.url)
    app.register(client_name="Qu\u202eill\x1b[31m")
    app.http.get(f"{app.url}/authorize", params={"client_id": "\x1b[31m" + "x" * 5000, "scope": "\ud7ff" * 900})
    app.http.get(f"{app.url}/nothing/%00/%ff/\u202e", headers={b"User-Agent": b"\xff\x9b31m"})
    app.http.post(f"{app.url}/mcp", headers={b"Origin": b"\xe9\x85"})  # a C1 control
    shown = traced.operator("trace") if read(traced) else ""
    assert shown
    assert all(c.isprintable() or c == "\n" for c in shown)


def test_a_flood_is_bounded(traced: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PER_MINUTE", 20)
    asked = http()
    for _ in range(50):
        asked.get(f"{traced.url}/nothing")
    read(traced)
    assert traced.sql("SELECT count(*) FROM trace_steps") == [(20,)]


def test_writers_at_once_write_each_step_once(traced: House) -> None:
    """The one of every second, and the one of a process that ends."""
    asked = http()
    for _ in range(30):
        asked.get(f"{traced.url}/nothing")

    async def together() -> None:
        await asyncio.gather(*(traced.world.traces.flush() for _ in range(5)))

    traced.wait_for(together())
    assert traced.sql("SELECT count(*), count(DISTINCT request_id) FROM trace_steps") == [(30, 30)]


def test_what_is_old_is_forgotten(traced: House, quill: App) -> None:
    quill.register()
    quill.http.get(f"{quill.url}/nothing")
    read(traced)

    def left() -> list[object]:
        traced.wait_for(sweep(traced.world, traced.world.now()))
        return sorted(row[0] for row in traced.sql("SELECT what FROM trace_steps"))  # type: ignore[type-var]

    assert left() == ["other", "registration"]
    traced.turn_clock(days=2)
    assert left() == ["registration"]
    traced.turn_clock(days=6)
    assert left() == []


def test_it_can_be_switched_off(traced: House, browser: Browser) -> None:
    silent = House(traced.dsn, trace_days=0).start()
    try:
        app = App(silent.url)
        look_around(app)
        app.register()
        app.call("whoami", app.connect(Browser(silent.url))["access_token"])
        silent.wait_for(silent.world.traces.flush())
    finally:
        silent.stop()
    assert traced.sql("SELECT count(*) FROM trace_steps") == [(0,)]


def test_a_database_that_is_away_costs_nobody_anything() -> None:
    """Steps wait in memory, as many as there is room for, and are written when it is back."""
    place = Path(tempfile.mkdtemp(prefix="gatehouse-traces-"))
    place.chmod(0o711)
    with embedded.hold(place):
        url = embedded.start(place).dsn
        upgrade(url)
        house = House(url).start()
        try:
            embedded.stop(place)
            asked = http()
            for _ in range(3):
                assert asked.get(house.url + DISCOVERY[0]).status_code == 200
            assert asked.post(f"{house.url}/mcp", json={}).status_code in (401, 503)
            with pytest.raises(UNAVAILABLE):
                house.wait_for(house.world.traces.flush())
            embedded.start(place)
            house.wait_for(_written(house))
            assert house.sql("SELECT count(*) FROM trace_steps WHERE what = 'discovery'") == [(3,)]
        finally:
            house.stop()
            embedded.stop(place)
    shutil.rmtree(place, ignore_errors=True)


def test_two_that_write_at_once_write_each_step_once(traced: House) -> None:
    asked = http()
    for _ in range(5):
        asked.get(f"{traced.url}/nothing")

    async def at_once() -> None:
        await asyncio.gather(*(traced.world.traces.flush() for _ in range(3)))

    traced.wait_for(at_once())
    assert traced.sql("SELECT count(*), count(DISTINCT request_id) FROM trace_steps") == [(5, 5)]


async def _written(house: House) -> None:
    for _ in range(50):
        try:
            return await house.world.traces.flush()
        except UNAVAILABLE:
            continue

"""`gatehouse connect` with a real Gatehouse: signing in, staying in, coming back, getting more, getting out."""

from __future__ import annotations

import json
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.actors import App, Browser, Device, http
from tests.bridges import Bridge, ran
from tests.conftest import House

Start = Callable[..., Bridge]


@pytest.fixture
def start(house: House, tmp_path: Path) -> Iterator[Start]:
    """Bridges of one person on one computer."""
    house.add_user()
    started: list[Bridge] = []

    def begin(*more: str, **variables: str) -> Bridge:
        started.append(Bridge(f"{house.url}/mcp", tmp_path, *more, **variables))
        return started[-1]

    yield begin
    for bridge in started:
        bridge.end()


def entered(bridge: Bridge, browser: Browser) -> Bridge:
    """Signed in, hands shaken."""
    number = bridge.begin()
    bridge.sign_in(browser)
    assert bridge.answer(number)["result"]["serverInfo"]["name"] == "gatehouse"
    bridge.notify("notifications/initialized")
    return bridge


def kept(home: Path) -> Path:
    (file,) = (home / ".config/gatehouse/connections").glob("*.json")
    return file


def test_it_signs_in_calls_refreshes_and_comes_back(
    start: Start, house: House, browser: Browser, tmp_path: Path
) -> None:
    """The person is asked once; after the hour, and in another process, what is kept is enough."""
    bridge = entered(start(), browser)
    tools = bridge.answer(bridge.ask("tools/list"))["result"]["tools"]
    assert {"whoami", "add_note"} <= {tool["name"] for tool in tools}
    assert bridge.call("add_note", text="über stdio")["structuredContent"]["text"] == "über stdio"
    house.turn_clock(seconds=3700)
    assert bridge.call("whoami")["structuredContent"]["via"] == "refresh_token"
    assert bridge.end() == 0
    house.turn_clock(seconds=3700)
    again = start()
    again.shake_hands()
    assert again.call("whoami")["structuredContent"]["via"] == "refresh_token"
    assert not again.opened
    assert len(json.loads(house.operator("client", "list", "--json"))) == 1


def test_tokens_are_for_their_owner_and_in_no_log(start: Start, browser: Browser, tmp_path: Path) -> None:
    bridge = entered(start(), browser)
    file = kept(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    tokens = json.loads(file.read_text())["tokens"]
    bridge.call("whoami")
    bridge.end()
    for secret in (tokens["access_token"], tokens["refresh_token"]):
        assert secret not in bridge.words()
    file.chmod(0o644)
    other = start()
    assert "open to others" in other.answer(other.begin())["error"]["message"]
    assert "open to others" in other.hears("gatehouse:")


@pytest.mark.parametrize("modern", [False, True])
def test_a_revoked_connection_asks_to_sign_in_again(start: Start, house: House, browser: Browser, modern: bool) -> None:
    bridge = entered(start(), browser)
    (connection,) = json.loads(house.operator("connection", "list", "--json"))
    house.operator("connection", "revoke", connection["id"])
    house.catch_up()
    number = bridge.ask("tools/call", {"name": "whoami", "arguments": {}}, modern=modern)
    bridge.sign_in(browser)
    assert bridge.answer(number)["result"]["structuredContent"]["via"] == "authorization_code"


def test_a_forgotten_client_registers_again(start: Start, house: House, browser: Browser) -> None:
    """Its registration is gone from the server: the person never sees the error page."""
    entered(start(), browser).end()
    (client,) = json.loads(house.operator("client", "list", "--json"))
    house.operator("client", "revoke", client["client_id"])
    house.catch_up()
    entered(start(), browser)


def test_more_scope_is_asked_for_when_a_tool_needs_it(start: Start, browser: Browser) -> None:
    """403 insufficient_scope: what there was and what lacked, together."""
    bridge = start("--scope", "read")
    number = bridge.begin()
    bridge.sign_in(browser)
    assert "result" in bridge.answer(number)
    number = bridge.ask("tools/call", {"name": "add_note", "arguments": {"text": "more"}})
    bridge.sign_in(browser)
    assert bridge.answer(number)["result"]["structuredContent"]["text"] == "more"
    assert "scope=read+write" in bridge.opened[1]


def test_who_refuses_more_is_not_asked_for_ever(start: Start, browser: Browser, house: House) -> None:
    bridge = start("--scope", "read")
    number = bridge.begin()
    bridge.sign_in(browser)
    bridge.answer(number)
    number = bridge.ask("tools/call", {"name": "add_note", "arguments": {"text": "more"}})
    page = browser.open(bridge.address())
    page = browser.decide(page, "deny")
    assert page.answer["error"] == "access_denied"
    http().get(page.left_to or "")
    assert "access_denied" in bridge.answer(number)["error"]["message"]
    assert bridge.call("whoami")["structuredContent"]["scopes"] == ["read"]


def test_a_device_signs_in_without_a_browser(start: Start, house: House, browser: Browser) -> None:
    bridge = start("--device")
    number = bridge.begin()
    line = bridge.hears("enter the code")
    code = line.split("enter the code ")[1].split(",")[0]
    device = Device(App(house.url), "", code, "")
    device.decide(browser)
    assert "result" in bridge.answer(number)
    assert bridge.call("whoami")["structuredContent"]["via"] == "device_code"


def test_an_api_key_needs_nobody(start: Start, house: House, tmp_path: Path) -> None:
    key = house.operator("api-key", "add", "x", "--user", "ada@example.com", "--scope", "read", "--quiet").strip()
    for bridge in (
        start("--api-key-env", "MY_KEY", MY_KEY=key),
        start("--header", "Authorization: Bearer ${MY_KEY}", MY_KEY=key),
    ):
        bridge.shake_hands()
        assert bridge.call("whoami")["structuredContent"]["via"] == "api_key"
        refused = bridge.answer(bridge.ask("tools/call", {"name": "add_note", "arguments": {"text": "x"}}))
        assert "for read write" in refused["error"]["message"]
        assert bridge.end() == 0
        assert key not in bridge.words()
    wrong = start("--api-key-env", "MY_KEY", MY_KEY="gh_key_wrong")
    assert "does not accept the key in MY_KEY" in wrong.answer(wrong.begin())["error"]["message"]
    assert not (tmp_path / ".config").exists() or not list((tmp_path / ".config").rglob("*.json"))


def test_a_program_has_its_own_credentials(start: Start, house: House) -> None:
    made = json.loads(
        house.operator("client", "add", "Nightly", "--json", "--client-credentials", "--user", "ada@example.com")
    )
    bridge = start("--client-id", made["client_id"], "--api-key-env", "SECRET", SECRET=made["client_secret"])
    bridge.shake_hands()
    assert bridge.call("whoami")["structuredContent"]["via"] == "client_credentials"
    house.turn_clock(seconds=3700)
    assert bridge.call("whoami")["structuredContent"]["via"] == "client_credentials"
    assert made["client_secret"] not in kept(bridge.home).read_text(), "it stays in the environment"


def test_a_client_of_the_operator_with_a_secret(start: Start, house: House, browser: Browser) -> None:
    made = json.loads(house.operator("client", "add", "Desk", "--json", "--redirect-uri", "http://127.0.0.1/callback"))
    given = ("--client-id", made["client_id"], "--client-secret-env", "SECRET")
    bridge = entered(start(*given, SECRET=made["client_secret"]), browser)
    assert f"client_id={made['client_id']}" in bridge.opened[0]
    house.turn_clock(seconds=3700)
    assert bridge.call("whoami")["structuredContent"]["via"] == "refresh_token"
    assert made["client_secret"] not in kept(bridge.home).read_text()
    again = start(*given, SECRET=made["client_secret"])
    again.shake_hands()
    done = ran(bridge.home, "logout", f"{house.url}/mcp", *given, SECRET=made["client_secret"])
    assert done.stdout == "Signed out.\n", done.stderr
    assert not json.loads(house.operator("connection", "list", "--json"))


def test_a_host_that_says_terminate(start: Start, browser: Browser) -> None:
    bridge = entered(start(), browser)
    bridge.process.terminate()
    assert bridge.process.wait(10) == 0


def test_login_whoami_logout(house: House, browser: Browser, tmp_path: Path) -> None:
    house.add_user()
    url = f"{house.url}/mcp"
    nobody = ran(tmp_path, "whoami", url)
    assert nobody.returncode == 1
    assert nobody.stderr == f"gatehouse: you are not signed in to {url}; run gatehouse login {url}\n"
    login = Bridge(url, tmp_path, command="login")
    login.sign_in(browser)
    assert login.process.wait(20) == 0
    login.end()
    told = json.loads(ran(tmp_path, "whoami", url, "--json").stdout)
    assert (told["server"], told["issuer"], told["scope"]) == (url, house.url, "read write")
    assert "refresh_token" not in json.dumps(told)
    tokens = json.loads(kept(tmp_path).read_text())
    assert ran(tmp_path, "logout", url).stdout == "Signed out.\n"
    assert "tokens" in tokens
    assert json.loads(kept(tmp_path).read_text())["tokens"] is None
    assert not json.loads(house.operator("connection", "list", "--json"))
    app = App(house.url, client_id=tokens["client"]["client_id"])
    assert app.refresh(tokens["tokens"]["refresh_token"]).json()["error"] == "invalid_grant"
    assert ran(tmp_path, "logout", url).stdout == "You were not signed in.\n"
    assert ran(tmp_path, "whoami", url).returncode == 1


def seconds_of_help(tmp_path: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran(tmp_path, "connect", "--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_it_starts_in_a_moment_and_without_the_server(tmp_path: Path) -> None:
    """Hosts start one for every window."""
    program = (
        "import sys; import app.cli.connect; print(*sorted(name for name in sys.modules if name.startswith('app.')))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    allowed = ("app.bridge", "app.checkup", "app.protocol", "app.cli", "app.settings.loopback")
    assert not [name for name in loaded if not name.startswith(allowed) and name != "app.settings"]
    assert min(seconds_of_help(tmp_path) for _ in range(3)) < 0.5, "seconds of a processor"  # others may be on it, too


def test_what_is_no_message_is_said_so(start: Start, browser: Browser) -> None:
    bridge = entered(start(), browser)
    bridge.send(b"{")
    assert bridge.message()["error"]["code"] == -32700
    bridge.send(b"\xff\xfe")
    assert bridge.message()["error"]["code"] == -32700
    for line in (b"[" * 100_000, b"[]", b"7", b"[1]"):
        bridge.send(line)
        assert bridge.message()["error"]["code"] == -32700
    bridge.send({"jsonrpc": "2.0"})
    assert bridge.message()["error"]["code"] == -32600
    assert "result" in bridge.answer(bridge.ask("ping"))


KEYRING = """
import json, pathlib
FILE = pathlib.Path({place!r})
class Backend: priority = {priority}
def get_keyring(): return Backend
def get_password(service, name): return json.loads(FILE.read_text()).get(service + name) if FILE.exists() else None
def set_password(service, name, value):
    if {locked}: raise RuntimeError("locked")
    FILE.write_text(json.dumps({{service + name: value}}))
"""


def test_the_keyring_where_there_is_one(house: House, browser: Browser, tmp_path: Path) -> None:
    """The package is not ours to install: a small one with the same functions stands in for it."""
    house.add_user()
    url, place, modules = f"{house.url}/mcp", tmp_path / "ring.json", tmp_path / "modules"
    modules.mkdir()
    variables = {"PYTHONPATH": str(modules)}

    def installed(priority: int = 5, locked: bool = False) -> None:
        text = KEYRING.format(place=str(place), priority=priority, locked=locked)
        (modules / "keyring.py").write_text(text)

    def login(*more: str) -> Bridge:
        bridge = Bridge(url, tmp_path, *more, command="login", **variables)
        bridge.sign_in(browser)
        bridge.process.wait(20)
        bridge.end()
        return bridge

    installed()
    login()
    assert "refresh_token" in place.read_text()
    assert not list(tmp_path.rglob(".config/**/*.json"))
    assert json.loads(ran(tmp_path, "whoami", url, "--json", **variables).stdout)["kept in"] == "the keyring"
    assert "not signed in" in ran(tmp_path, "whoami", url, "--store", "file", **variables).stderr
    installed(locked=True)
    locked = login()
    assert "the keyring refused (RuntimeError); --store file" in locked.words()
    assert locked.process.returncode == 1
    installed(priority=0)  # a machine without a keyring to talk to
    assert "there is no keyring here" in ran(tmp_path, "whoami", url, "--store", "keyring", **variables).stderr
    login()
    assert kept(tmp_path).exists()

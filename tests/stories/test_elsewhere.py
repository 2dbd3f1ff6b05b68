"""docs/elsewhere.md in Python: a server of somebody else's lets in whom Gatehouse let in, and nobody else."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyUrl

from bench.servers import free_port
from tests.actors import CALLBACK, OPENED, App, Browser, http
from tests.conftest import ROOT, House, emptied
from tests.documented import BAD, PAGE, answers, at, block, python, resources, signed, written
from tests.referees.test_mcp_sdk import Memory, Person

CHECK = """
import json, sys
import jwt
from tokens import checked, scopes

for line in sys.stdin:
    try:
        claims = checked(json.loads(line))
        print(json.dumps([claims["sub"], sorted(scopes(claims))]))
    except jwt.PyJWTError as fault:
        print(json.dumps(None))
"""
INTROSPECT = """
import asyncio, json, sys
from introspected import checked

async def ask():
    for line in sys.stdin:
        token, path = json.loads(line)
        answer = await checked(token)
        print(json.dumps(answer and [answer["sub"], answer["scope"]]), flush=True)

asyncio.run(ask())
"""


@pytest.fixture(scope="module")
def resource() -> str:
    return f"http://localhost:{free_port()}/mcp"


@pytest.fixture(scope="module")
def served_elsewhere(dsn: str, resource: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    file = tmp_path_factory.mktemp("resources") / "gatehouse.toml"
    file.write_text(resources(resource))
    house = House(dsn, resources_file=file).start()
    yield house
    house.stop()


@pytest.fixture
def house(served_elsewhere: House) -> Iterator[House]:
    yield emptied(served_elsewhere)
    while OPENED:
        OPENED.pop().close()


def environment(house: House, *arguments: str) -> dict[str, str]:
    """For the documented programs: what they need, and nothing of ours."""
    given = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    if arguments:
        made = json.loads(house.operator(*arguments, "--json"))
        given |= {"CLIENT_ID": made["client_id"], "CLIENT_SECRET": made["client_secret"]}
    return given


# With the keys alone -------------------------------------------------------------------------------------------------


def test_the_keys_are_enough(house: House, app: App, browser: Browser, resource: str, tmp_path: Path) -> None:
    """RFC 9068 §4: one program, every token that it may take and none of those that it must not."""
    written(tmp_path, house, resource, "tokens.py")
    token = app.connect(browser, resource=resource, scope="tools:use")["access_token"]
    here = app.connect(browser)["access_token"]
    good = [token, signed(house, resource), signed(house, resource, {"typ": "application/at+jwt"}, scope="tools:see")]
    bad = [here, *(make(house, resource) for make in BAD.values())]
    said = answers(python(tmp_path, CHECK), tmp_path, good + bad, environment(house))
    (subject,) = house.sql("SELECT id FROM users")[0]
    assert said[:3] == [[subject, ["tools:see", "tools:use"]], ["u", ["tools:see", "tools:use"]], ["u", ["tools:see"]]]
    names = ["for /mcp here", *BAD]
    assert {name: answer for name, answer in zip(names, said[3:], strict=True) if answer} == {}


def test_a_revoked_token_is_good_until_it_expires(
    house: House, app: App, browser: Browser, resource: str, tmp_path: Path
) -> None:
    """As the page says; and the proxy, which asks, knows at once."""
    written(tmp_path, house, resource, "tokens.py")
    token = app.connect(browser, resource=resource, scope="tools:use")["access_token"]
    app.http.post(f"{app.url}/revoke", data={"token": token, "client_id": app.client_id})
    house.catch_up()
    assert answers(python(tmp_path, CHECK), tmp_path, [token], environment(house)) != [None]
    asked = f"{house.url}/forward-auth?resource={resource}"
    assert http().get(asked, headers={"Authorization": f"Bearer {token}"}).status_code == 401


@contextmanager
def running(command: list[str], folder: Path, port: int, given: dict[str, str]) -> Iterator[None]:
    """Until it answers, and no longer than the block."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=folder, env=given, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            deadline = time.monotonic() + 30
            while True:
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    continue
            yield
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.anyio
async def test_a_server_of_the_sdk(house: House, resource: str, tmp_path: Path) -> None:
    """An MCP client finds its way from that server to Gatehouse and back, and the token opens that server alone."""
    house.add_user()
    written(tmp_path, house, resource, "tokens.py", "server.py")
    port = int(re.findall(r":(\d+)/", resource)[0])
    person, storage = Person(house), Memory()
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="A client")
    auth = OAuthClientProvider(resource, metadata, storage, person.open, person.callback)
    with running([sys.executable, "server.py"], tmp_path, port, environment(house)):
        refused = http().post(resource, json={})
        assert refused.status_code == 401
        assert (
            f"http://localhost:{port}/.well-known/oauth-protected-resource/mcp" in refused.headers["www-authenticate"]
        )
        async with httpx2.AsyncClient(auth=auth, timeout=30) as authorized:
            transport = streamable_http_client(resource, http_client=authorized)
            async with Client(transport) as client:
                called = await client.call_tool("who", {})
                used = await client.call_tool("use", {})
        (subject,) = house.sql("SELECT id FROM users")[0]
        assert called.structured_content == {"result": subject}
        assert (used.is_error, "needs the scope tools:use" in str(used.content)) == (True, True)
        assert storage.tokens is not None
        token = storage.tokens.access_token
        assert App(house.url).call("whoami", token).status_code == 401
        for name, make in BAD.items():
            sent = {"Authorization": f"Bearer {make(house, resource)}"} if name != "empty" else {}
            assert http().post(resource, json={}, headers=sent).status_code == 401, name
        weak = {"Authorization": f"Bearer {signed(house, resource, scope='other')}"}
        assert http().post(resource, json={}, headers=weak).status_code == 403


# By asking -----------------------------------------------------------------------------------------------------------


def test_asking_and_remembering(house: House, app: App, browser: Browser, resource: str, tmp_path: Path) -> None:
    """RFC 7662: for this server and nobody's else; what was answered is remembered, and then asked anew."""
    written(tmp_path, house, resource, "introspected.py")
    code = (tmp_path / "introspected.py").read_text()
    (tmp_path / "introspected.py").write_text(code.replace("time.time()", "later()") + LATER)
    given = environment(house, *command())
    token = app.connect(browser, resource=resource, scope="tools:use")["access_token"]
    other = app.connect(browser)["access_token"]
    (subject,) = house.sql("SELECT id FROM users")[0]
    with talking(tmp_path, given) as ask:
        assert ask(token) == [subject, "tools:see tools:use"]
        assert ask(other) is None
        assert ask("garbage") is None
        assert ask(signed(house, resource, cnf={"jkt": "x" * 43})) is None
        app.http.post(f"{app.url}/revoke", data={"token": token, "client_id": app.client_id})
        assert ask(token) == [subject, "tools:see tools:use"], "remembered"
        (tmp_path / "ahead").write_text("61")
        assert ask(token) is None, "asked anew"


# The time of the documented program, turned forward by a file.
LATER = """

def later() -> float:
    try:
        return time.time() + float(open("ahead").read())
    except OSError:
        return time.time()
"""


def command() -> list[str]:
    """As documented."""
    words = re.findall(r'"[^"]*"|\S+', block("sh").strip())
    assert words[0] == "gatehouse"
    return [word.strip('"') for word in words[1:]]


@contextmanager
def talking(folder: Path, given: dict[str, str]) -> Iterator[Callable[[str], object]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    program = python(folder, INTROSPECT)
    with subprocess.Popen(program, cwd=folder, env=given, text=True, **pipes) as process:  # type: ignore[call-overload]

        def ask(token: str) -> object:
            process.stdin.write(json.dumps([token, ""]) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line.startswith(("[", "null")), line + process.stdout.read()
            return json.loads(line)

        yield ask
        process.stdin.close()
        assert process.wait(10) == 0


def test_nobody_is_let_in_when_asking_fails(house: House, resource: str, tmp_path: Path) -> None:
    """A wrong secret raises, rather than say that the token is bad or good."""
    written(tmp_path, house, resource, "introspected.py")
    given = environment(house) | {"CLIENT_ID": "nobody", "CLIENT_SECRET": "wrong"}
    ran = subprocess.run(
        python(tmp_path, INTROSPECT), cwd=tmp_path, env=given, input='["x", ""]\n', capture_output=True, text=True
    )
    assert ran.returncode == 1
    assert "HTTPStatusError" in ran.stderr


# At Traefik, which cannot be had here ---------------------------------------------------------------------------------


def test_what_traefik_is_told(house: House, app: App, browser: Browser, resource: str) -> None:
    """The question that Traefik would ask, and the headers that its expression takes from the caller and from the answer."""
    words = at(block("yaml"), house, resource).replace("http://127.0.0.1:8000", house.url)
    (address,) = re.findall(r"address: (\S+)", words)
    (expression,) = re.findall(r'authResponseHeadersRegex: "(.+)"', words)
    token = app.connect(browser, resource=resource, scope="tools:see")["access_token"]
    forwarded = {"X-Forwarded-Method": "POST", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "tools.example.com"}
    assert http().get(address, headers=forwarded).status_code == 401
    response = http().get(address, headers=forwarded | {"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    ours = [name for name in response.headers if "gatehouse" in name]
    assert len(ours) == 5
    for name in (*ours, "X-Gatehouse-Subject", "X_gatehouse_subject", "X-Gatehouse_subject"):
        assert re.search(expression, name)


# The page ------------------------------------------------------------------------------------------------------------


def test_every_block_of_the_page_is_run_somewhere() -> None:
    """A new one has to be put here, and into a test."""
    languages = re.findall(r"^```(\w+)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(languages) == [
        "caddyfile",
        "nginx",
        "python",
        "python",
        "python",
        "sh",
        "toml",
        "ts",
        "ts",
        "ts",
        "yaml",
    ]
    assert "docs/elsewhere.md" in (ROOT / "README.md").read_text()

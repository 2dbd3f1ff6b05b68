"""docs/elsewhere.md in TypeScript: its programs, as Node runs them, against a real server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.actors import App, Browser, http
from tests.conftest import House
from tests.documented import BAD, answers, signed, written
from tests.referees import nodejs
from tests.referees.node_process import WHY_NOT
from tests.stories.test_elsewhere import command, environment, house, resource, running, served_elsewhere

__all__ = ["house", "resource", "served_elsewhere"]  # fixtures
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

LINES = """
import { createInterface } from "node:readline";
const answer = async (ask: (line: string) => Promise<unknown>) => {
  for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await ask(line)));
};
"""
CHECK = (
    LINES
    + """
import { errors } from "jose";
import { checked, scopes } from "./tokens.ts";
await answer(async (line) => {
  try {
    const claims = await checked(JSON.parse(line));
    return [claims.sub, [...scopes(claims)].sort()];
  } catch (fault) {
    if (fault instanceof errors.JOSEError) return null;
    throw fault;
  }
});
"""
)
INTROSPECT = (
    LINES
    + """
import { writeFileSync, existsSync } from "node:fs";
const now = Date.now;
Date.now = () => now() + (existsSync("later") ? 61_000 : 0);
const { checked } = await import("./introspected.ts");
await answer(async (line) => {
  const found = await checked(JSON.parse(line));
  if (JSON.parse(line) === "later") writeFileSync("later", "");
  return found && [found.sub, found.scope];
});
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the programs find what npm installed."""
    (tmp_path / "node_modules").symlink_to(nodejs.MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def node(folder: Path, program: str) -> list[str]:
    """Node takes the types out by itself."""
    (folder / "ask.ts").write_text(program)
    return [str(nodejs.program()), "--experimental-strip-types", "ask.ts"]


def test_the_keys_are_enough(house: House, app: App, browser: Browser, resource: str, folder: Path) -> None:
    """RFC 9068 §4: one program, every token that it may take and none of those that it must not."""
    written(folder, house, resource, "tokens.ts")
    token = app.connect(browser, resource=resource, scope="tools:use")["access_token"]
    here = app.connect(browser)["access_token"]
    good = [token, signed(house, resource, {"typ": "application/at+jwt"}, scope="tools:see")]
    bad = [here, *(make(house, resource) for make in BAD.values())]
    said = answers(node(folder, CHECK), folder, good + bad, nodejs.environment(folder))
    (subject,) = house.sql("SELECT id FROM users")[0]
    assert said[:2] == [[subject, ["tools:see", "tools:use"]], ["u", ["tools:see"]]]
    assert {name: answer for name, answer in zip(["here", *BAD], said[2:], strict=True) if answer} == {}


def test_a_server(house: House, app: App, browser: Browser, resource: str, folder: Path) -> None:
    """Challenged as the proxies do it; the token of this resource opens it, and no other."""
    written(folder, house, resource, "tokens.ts", "server.ts")
    token = app.connect(browser, resource=resource)["access_token"]
    (port,) = re.findall(r":(\d+)/", resource)
    server = [str(nodejs.program()), "--experimental-strip-types", "server.ts"]
    with running(server, folder, int(port), nodejs.environment(folder)):
        refused = http().get(resource)
        document = f"{house.url}/.well-known/oauth-protected-resource/tools"
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == (
            f'Bearer resource_metadata="{document}", scope="tools:see tools:use"'
        )
        assert http().get(document).json()["resource"] == resource
        (subject,) = house.sql("SELECT id FROM users")[0]
        assert http().get(resource, headers={"Authorization": f"bearer {token}"}).json() == {"hello": subject}
        for name, make in BAD.items():
            sent = {"Authorization": f"Bearer {make(house, resource)}"} if name != "empty" else {}
            assert http().get(resource, headers=sent).status_code == 401, name
        weak = {"Authorization": f"Bearer {signed(house, resource, scope='other')}"}
        assert http().get(resource, headers=weak).status_code == 403


def test_asking_and_remembering(house: House, app: App, browser: Browser, resource: str, folder: Path) -> None:
    """RFC 7662: for this server and nobody's else; what was answered is remembered, and then asked anew."""
    written(folder, house, resource, "introspected.ts")
    given = nodejs.environment(folder) | environment(house, *command())
    token = app.connect(browser, resource=resource, scope="tools:use")["access_token"]
    other = app.connect(browser)["access_token"]
    bound = signed(house, resource, cnf={"jkt": "x" * 43})
    (subject,) = house.sql("SELECT id FROM users")[0]
    said = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(node(folder, INTROSPECT), cwd=folder, env=given, text=True, **pipes) as process:  # type: ignore[call-overload]

        def ask(line: str) -> object:
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        said = [ask(token), ask(other), ask("garbage"), ask(bound)]
        app.http.post(f"{app.url}/revoke", data={"token": token, "client_id": app.client_id})
        said += [ask(token), ask("later"), ask(token)]
        process.stdin.close()
        assert process.wait(20) == 0
    known = [subject, "tools:see tools:use"]
    assert said == [known, None, None, None, known, None, None]


def test_nobody_is_let_in_when_asking_fails(house: House, resource: str, folder: Path) -> None:
    written(folder, house, resource, "introspected.ts")
    given = nodejs.environment(folder) | {"CLIENT_ID": "nobody", "CLIENT_SECRET": "wrong"}
    ran = subprocess.run(
        node(folder, INTROSPECT), cwd=folder, env=given, input='"x"\n', capture_output=True, text=True, timeout=60
    )
    assert ran.returncode != 0
    assert "introspection answered 401" in ran.stderr

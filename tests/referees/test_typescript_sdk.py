"""The TypeScript SDK, both generations, on which most clients are built: signed in, refreshed, stepped up, back in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.actors import Browser
from tests.conftest import House
from tests.referees.node_process import WHY_NOT, Process, allowed
from tests.referees.nodejs import PLACE
from tests.websites import Website

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

ASKED = json.loads((PLACE / "package.json").read_text())["dependencies"]
OLD, NEW = ASKED["@modelcontextprotocol/sdk"], ASKED["@modelcontextprotocol/client"]
EACH = pytest.mark.parametrize(
    ("generation", "mode"), [("1", None), ("2", "legacy"), ("2", "auto")], ids=[OLD, f"{NEW}-handshake", f"{NEW}-auto"]
)


class Client:
    """The Node program as the test sees it."""

    def __init__(self, house: House, home: Path, generation: str, mode: str | None, *document: str) -> None:
        self.node = Process(home, "typescript.mjs", generation, f"{house.url}/mcp", *document)
        self.browser = Browser(house.url)
        self.mode = mode
        self.opened: list[str] = []

    def do(self, what: str, **how: Any) -> dict[str, Any]:
        self.node.send({"do": what, "mode": self.mode, **how})
        return self.node.answer()

    def ok(self, what: str, **how: Any) -> Any:
        answer = self.do(what, **how)
        assert "ok" in answer, answer
        return answer["ok"]

    def sign_in(self, address: str) -> list[str]:
        """The browser's part; what the client was given for it."""
        self.opened.append(address)
        given: list[str] = self.ok("finish", address=allowed(self.browser, address))
        return given

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        called: dict[str, Any] = self.ok("call", name=name, args=arguments)
        return called


Make = Callable[..., Client]


@pytest.fixture
def client(house: House, tmp_path: Path) -> Iterator[Make]:
    house.add_user()
    made: list[Client] = []

    def make(generation: str, mode: str | None, *document: str) -> Client:
        made.append(Client(house, tmp_path, generation, mode, *document))
        return made[-1]

    yield make
    for client in made:
        client.node.end()


def signed_in(client: Client) -> None:
    """Discovery, registration, pages, code, tokens."""
    refused = client.do("list")
    assert refused["unauthorized"], refused
    given = client.sign_in(refused["open"])
    assert {"access_token", "expires_in", "refresh_token", "scope", "token_type"} <= set(given)


@EACH
def test_it_discovers_registers_signs_in_and_calls(
    client: Make, house: House, generation: str, mode: str | None
) -> None:
    app = client(generation, mode)
    signed_in(app)
    assert {"whoami", "add_note", "list_notes", "delete_note"} <= set(app.ok("list"))
    app.call("add_note", text="from TypeScript")
    listed = app.call("list_notes")
    assert listed["structuredContent"]["result"][0]["text"] == "from TypeScript"
    assert app.ok("era") == ("2026-07-28" if mode == "auto" else "2025-11-25")
    registered = app.ok("kept")["client"]
    (known,) = json.loads(house.operator("client", "list", "--json"))
    assert (known["client_id"], known["client_name"]) == (registered["client_id"], f"TypeScript SDK {generation}")


@EACH
def test_a_document_stands_in_for_registration(
    client: Make, house: House, website: Website, generation: str, mode: str | None
) -> None:
    """Client ID Metadata Documents: the client_id is the address of what the SDK would have registered."""
    address = f"{website.url}/client.json"
    described = {
        "client_id": address,
        "client_name": "By document",
        "redirect_uris": ["http://127.0.0.1:3030/callback"],
        "token_endpoint_auth_method": "none",
    }
    website.publish("/client.json", described)
    app = client(generation, mode, address)
    signed_in(app)
    assert app.ok("kept")["client"]["client_id"] == address
    house.turn_clock(seconds=3700)
    assert app.call("whoami")["structuredContent"]["via"] == "refresh_token"


@EACH
def test_it_refreshes_when_the_hour_is_over(client: Make, house: House, generation: str, mode: str | None) -> None:
    """Also after a restart, with nothing but what it had stored; nobody is sent to a browser again."""
    app = client(generation, mode)
    signed_in(app)
    first = app.ok("kept")["tokens"]
    for restart in (False, True):
        house.turn_clock(seconds=3700)
        if restart:
            app.ok("restart")
        assert app.call("whoami")["structuredContent"]["via"] == "refresh_token"
    last = app.ok("kept")["tokens"]
    assert len({first["refresh_token"], last["refresh_token"]}) == 2
    assert len(app.opened) == 1


@EACH
def test_a_revoked_connection_signs_in_again(client: Make, house: House, generation: str, mode: str | None) -> None:
    """401 at /mcp, invalid_grant at /token, then the browser with the same client_id; no dead end."""
    app = client(generation, mode)
    signed_in(app)
    app.call("whoami")
    before = app.ok("kept")["client"]["client_id"]
    (connection,) = json.loads(house.operator("connection", "list", "--json"))
    house.operator("connection", "revoke", connection["id"])
    house.catch_up()
    refused = app.do("call", name="whoami", args={})
    assert refused["unauthorized"], refused
    app.sign_in(refused["open"])
    app.ok("restart")
    assert app.call("whoami")["structuredContent"]["via"] == "authorization_code"
    assert app.ok("kept")["client"]["client_id"] == before


@EACH
def test_a_deleted_client_registers_again(client: Make, house: House, generation: str, mode: str | None) -> None:
    """invalid_client at /token makes it drop its registration (AS section of the SDK's auth orchestrator)."""
    app = client(generation, mode)
    signed_in(app)
    before = app.ok("kept")["client"]["client_id"]
    house.operator("client", "revoke", before)
    house.catch_up()
    refused = app.do("call", name="whoami", args={})
    assert refused["unauthorized"], refused
    app.sign_in(refused["open"])
    app.ok("restart")
    app.call("whoami")
    assert app.ok("kept")["client"]["client_id"] != before


@EACH
def test_insufficient_scope_is_seen(client: Make, house: House, generation: str, mode: str | None) -> None:
    """403 with the scopes that are needed. Version 2 asks its user for them; version 1 refreshes, and says so when that gave no more."""
    app = client(generation, mode)
    started = app.do("authorize", scope="read")
    assert started["ok"] == "REDIRECT"
    app.sign_in(started["open"])
    assert app.ok("kept")["tokens"]["scope"] == "read"
    app.call("whoami")
    refused = app.do("call", name="add_note", args={"text": "more"})
    if generation == "1":
        assert "403" in refused["error"], refused
        assert "upscoping" in refused["error"]
        return
    assert refused["unauthorized"], refused
    assert "scope=read+write" in refused["open"] or "scope=write+read" in refused["open"]
    app.sign_in(refused["open"])
    assert app.call("add_note", text="more")["structuredContent"]["text"] == "more"

"""Each client, replayed from its file against a real server: in by document and in by registration, called, refreshed, back again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.clients.pinned import pinned
from tests.actors import Browser
from tests.clients.data import known, names
from tests.clients.replay import Replay
from tests.conftest import House
from tests.signers import Signer, key_set
from tests.websites import Website

Client = Callable[[str], Replay]


@pytest.fixture
def replay(house: House, browser: Browser) -> Client:
    """The client of this file, at a server where ada@example.com has an account."""
    house.add_user()
    return lambda name: Replay(known(name), house, browser)


@pytest.fixture
def registering(house: House, dsn: str, authority: Path) -> Iterator[Client]:
    """The same, where documents are switched off, so that it registers."""
    house.add_user()
    other = House(dsn, ca_file=authority, client_documents="off").start()
    yield lambda name: Replay(known(name), other, Browser(other.url))
    other.stop()


def everything(replay: Replay, came_with: str) -> None:
    replay.everything()
    assert replay.came_with == came_with


def test_claude_ai(replay: Client) -> None:
    everything(replay("claude_ai"), "document")


def test_claude_ai_registers(registering: Client) -> None:
    everything(registering("claude_ai"), "registration")


def test_claude_code(replay: Client) -> None:
    everything(replay("claude_code"), "document")


def test_claude_code_registers(registering: Client) -> None:
    everything(registering("claude_code"), "registration")


def test_chatgpt(house: House, browser: Browser, website: Website) -> None:
    """Its document as it was written down, on a site of our own, since it signs and the key is its own."""
    house.add_user()
    chatgpt, signer = known("chatgpt"), Signer("RS256")
    copy = pinned(str(chatgpt.client_id))
    assert copy is not None
    document = copy.document
    assert chatgpt.redirect_uri in document["redirect_uris"]
    client_id = f"{website.url}/oauth/client.json"
    keys = website.publish("/oauth/jwks.json", key_set(signer))
    website.publish("/oauth/client.json", {**document, "client_id": client_id, "jwks_uri": keys})
    everything(Replay(chatgpt, house, browser, client_id, signer), "document")


def test_chatgpt_registers(registering: Client) -> None:
    everything(registering("chatgpt"), "registration")


def test_cursor(replay: Client) -> None:
    everything(replay("cursor"), "registration")


def test_vscode(replay: Client) -> None:
    everything(replay("vscode"), "document")


def test_vscode_registers(registering: Client) -> None:
    everything(registering("vscode"), "registration")


def test_codex(replay: Client) -> None:
    everything(replay("codex"), "document")


def test_codex_registers(registering: Client) -> None:
    everything(registering("codex"), "registration")


def test_gemini_cli(replay: Client) -> None:
    everything(replay("gemini_cli"), "registration")


def test_mcp_remote(replay: Client) -> None:
    everything(replay("mcp_remote"), "registration")


def test_inspector(replay: Client) -> None:
    everything(replay("inspector"), "registration")


def test_python_sdk(replay: Client) -> None:
    everything(replay("python_sdk"), "registration")


def test_typescript_sdk(replay: Client) -> None:
    everything(replay("typescript_sdk"), "registration")


def test_fastmcp(replay: Client) -> None:
    everything(replay("fastmcp"), "registration")


def test_n8n(replay: Client) -> None:
    everything(replay("n8n"), "registration")


def test_every_client_with_a_file_has_its_test() -> None:
    for name in names():
        assert f"test_{name}" in globals()
        assert known(name).client_id is None or f"test_{name}_registers" in globals()

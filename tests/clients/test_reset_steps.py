"""The page for a client_id that is gone: it names the steps of that very app, and shows nothing of what a stranger sent."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest

from app.clients.reset import RESET_STEPS, known, reset
from tests.actors import App, Browser, http
from tests.clients import data
from tests.conftest import House

SAID: dict[str, Any] = json.loads(RESET_STEPS.read_text())
MCP = "https://mcp.a-company-with-a-long-name.example.com/mcp"
BY_REDIRECT = {
    "https://claude.ai/api/mcp/auth_callback": "Claude",
    "https://claude.com/api/mcp/auth_callback": "Claude",
    "http://localhost:3118/callback": "Claude Code",
    "https://chatgpt.com/connector_platform_oauth_redirect": "ChatGPT",
    "https://chatgpt.com/connector/oauth/OUbdUMlL15Ct": "ChatGPT",
    "cursor://anysphere.cursor-mcp/oauth/callback": "Cursor",
    "https://www.cursor.com/agents/mcp/oauth/callback": "Cursor",
    "https://vscode.dev/redirect": "VS Code",
    "https://insiders.vscode.dev/redirect": "VS Code",
    "http://127.0.0.1:33418/": "VS Code",
    "http://127.0.0.1:37819/callback/Ab3_-fGh1jkL": "Codex",
    "http://localhost:7777/oauth/callback": "Gemini CLI",
    "http://localhost:6274/oauth/callback": "MCP Inspector",
    "http://localhost:37908/oauth/callback": "mcp-remote",
    "https://oauth.n8n.cloud/oauth2/callback": "n8n",
    "https://n8n.example.com/rest/oauth2-credential/callback": "n8n",
}
NOBODYS = [
    "http://localhost:4711/callback",
    "https://claude.ai.evil.example/api/mcp/auth_callback",
    "https://evil.example/?https://claude.ai/api/mcp/auth_callback",
    "https://claude.ai/api/mcp/auth_callback\nX",
    "http://127.0.0.1:37819/callback/short",
    "",
]
OWN_NAMES = {  # of the files here, in the words of the page
    "chatgpt": "ChatGPT",
    "claude_ai": "Claude",
    "claude_code": "Claude Code",
    "codex": "Codex",
    "cursor": "Cursor",
    "gemini_cli": "Gemini CLI",
    "inspector": "MCP Inspector",
    "mcp_remote": "mcp-remote",
    "n8n": "n8n",
    "vscode": "VS Code",
}


def steps_of(client: str) -> list[str]:
    return next(entry["steps"] for entry in SAID["clients"] if entry["client"] == client)


def page_for(house: House, redirect_uri: str, **headers: str) -> str:
    """What a person sees whose app comes with a client_id that nobody knows."""
    app = App(house.url, redirect_uri=redirect_uri, client_id="client_gone")
    response = http(headers=headers).get(app.authorize_url())
    assert (response.status_code, response.headers.get("location")) == (400, None)
    return response.text


@pytest.mark.parametrize("redirect_uri", BY_REDIRECT)
def test_the_app_is_known_by_where_it_wants_to_be_answered(house: House, redirect_uri: str) -> None:
    client = BY_REDIRECT[redirect_uri]
    text = page_for(house, redirect_uri)
    assert f"What to do in {client}</h2>" in text
    for step in steps_of(client):
        for part in step.replace("{mcp}", f"{house.url}/mcp").split("`"):
            assert html.escape(part).replace("&quot;", "&#34;") in text
    assert "not registered here" in text


@pytest.mark.parametrize("redirect_uri", NOBODYS)
def test_an_app_that_is_not_known_gets_the_general_steps_and_all_others(house: House, redirect_uri: str) -> None:
    text = page_for(house, redirect_uri)
    assert "What to do</h2>" in text
    assert "add it again" in text
    for one in known(MCP):
        assert f"<h3>{one.client}</h3>" in text


def test_a_removed_app_is_known_by_its_name_and_told_the_day(house: House) -> None:
    """The redirect says nothing: any local program answers there."""
    app = App(house.url, redirect_uri="http://localhost:4711/callback")
    app.register(client_name="Claude Code (gatehouse)")
    house.operator("client", "revoke", app.client_id)
    (removed_at,) = house.sql("SELECT to_char(revoked_at AT TIME ZONE 'UTC', 'FMDD FMMonth YYYY') FROM clients")[0]
    text = http().get(app.authorize_url()).text
    assert "<bdi>Claude Code (gatehouse)</bdi></strong> was removed from this server on" in text
    assert f">{removed_at}</time>." in text
    assert "What to do in Claude Code</h2>" in text
    assert "claude mcp logout NAME" in text


def test_a_removed_app_is_known_by_what_it_had_registered(house: House) -> None:
    app = App(house.url, redirect_uri="http://localhost:4711/callback")
    app.register(
        client_name="My editor", redirect_uris=[app.redirect_uri, "cursor://anysphere.cursor-mcp/oauth/callback"]
    )
    house.operator("client", "revoke", app.client_id)
    assert "What to do in Cursor</h2>" in http().get(app.authorize_url()).text


def test_the_redirect_goes_before_the_name_and_the_name_before_the_program(house: House) -> None:
    nowhere, program = "http://localhost:4711/callback", "Mozilla/5.0 (X11) Code/1.106.3 Chrome/142 Electron/39"
    assert reset(["https://vscode.dev/redirect"], "Codex", "Cursor/3.14", MCP).client == "VS Code"
    assert reset([nowhere], "Codex", "Cursor/3.14", MCP).client == "Codex"
    assert reset([nowhere], "Quill", program, MCP).client == "VS Code"
    assert reset([nowhere], None, "Mozilla/5.0 (X11; Linux x86_64) Chrome/142 Safari/537.36", MCP).client is None
    assert "What to do in Cursor</h2>" in page_for(house, nowhere, **{"User-Agent": "Mozilla/5.0 Cursor/3.14"})


@pytest.mark.parametrize("name", data.names())
def test_every_client_here_is_known_by_what_it_registers(name: str) -> None:
    registration = data.filled(
        data.known(name).registration,
        {"redirect": data.filled(data.known(name).redirect_uri, {"port": "49500", "id": "abcdefghijkl"})},
    )
    assert reset(registration["redirect_uris"], None, "", MCP).client == OWN_NAMES.get(name)
    assert reset([], registration["client_name"], "", MCP).client == OWN_NAMES.get(name)


def test_nothing_of_what_a_stranger_sent_is_shown(house: House) -> None:
    app = App(house.url, redirect_uri="https://canary-a.example/", client_id="canary-b")
    url = app.authorize_url(
        state="canary-c", scope="canary-d", resource="https://canary-e.example", login_hint="canary-f"
    )
    response = http(headers={"User-Agent": "canary-g"}).get(url + "&redirect_uri=https://canary-h.example/")
    assert response.status_code == 400
    assert "canary" not in response.text
    assert "set-cookie" not in response.headers
    for name, word in (("x-frame-options", "DENY"), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")):
        assert response.headers[name] == word
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_the_name_of_a_removed_app_is_only_text(house: House) -> None:
    app = App(house.url)
    app.register(client_name="<script>alert(1)</script>`rm -rf`{{ 7*7 }}")
    house.operator("client", "revoke", app.client_id)
    text = http().get(app.authorize_url()).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;`rm -rf`{{ 7*7 }}" in text
    assert "<script>" not in text


def test_long_and_odd_requests_cost_nothing(house: House) -> None:
    client = http()
    for client_id, redirect in (
        ("c" * 5000, "x"),
        ("client_gone", "http://localhost:" + "1" * 5000),
        ("\u202e", "\u202e"),
    ):
        app = App(house.url, redirect_uri=redirect, client_id=client_id)
        response = client.get(app.authorize_url())
        assert response.status_code == 400
        assert response.elapsed.total_seconds() < 1


def test_an_app_removed_while_its_person_signs_in(app: App, house: House, browser: Browser) -> None:
    """Back from the sign-in page, under /authorize/continue."""
    app.redirect_uri = "http://localhost:7777/oauth/callback"
    app.register(client_name="Quill")
    page = browser.open(app.authorize_url())
    house.operator("client", "revoke", app.client_id)
    page = browser.sign_in(page)
    assert (page.status, page.left_to) == (400, None)
    assert "What to do in Gemini CLI</h2>" in page.text


def test_the_steps_are_written_as_the_page_and_the_trace_need_them() -> None:
    """Code in pairs of backticks; a step is at most what the trace keeps of one."""
    for one in [*known(MCP), reset([], None, "", MCP)]:
        assert one.steps
        for step in one.steps:
            assert step.count("`") % 2 == 0, step
            assert len(step) <= 200, step
            assert "{" not in step
    for entry in SAID["clients"]:
        assert entry["as_of"].startswith("2026")
        assert entry["source"]

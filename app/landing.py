"""GET /: what this is, the MCP address, and how to connect each client."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.language.catalogs import N_
from app.users import store as users
from app.web import sessions
from app.web.pages import render
from app.world import World

NAME = "gatehouse"  # of this server in the files of clients


@dataclass(frozen=True, slots=True)
class Connect:
    """How one client is connected: `steps` in the words of its own menus, `command` to be pasted after them, `link` to let
    the client do it itself. `from_afar`: it runs at its maker's, and reaches public https addresses only."""

    client: str
    kind: str
    steps: tuple[str, ...]
    command: str | None = None
    link: str | None = None
    from_afar: bool = False


def ways_in(mcp_url: str) -> list[Connect]:
    """One entry a client."""
    return [*_assistants(mcp_url), *_terminals(mcp_url), *_editors(mcp_url), *_others(mcp_url)]


def _assistants(mcp_url: str) -> list[Connect]:
    return [
        Connect(
            "Claude",
            N_("web, desktop and phone"),
            (
                N_("Open Settings, then Connectors, and choose Add custom connector."),
                N_("Paste this address, leave the rest empty, and choose Connect."),
            ),
            mcp_url,
            from_afar=True,
        ),
        Connect(
            "ChatGPT",
            N_("web and desktop"),
            (
                N_("Open Settings, then Apps and connectors, then Advanced, and switch on Developer mode."),
                N_("Choose Create, paste this address, and keep OAuth as the way to sign in."),
            ),
            mcp_url,
            from_afar=True,
        ),
    ]


def _terminals(mcp_url: str) -> list[Connect]:
    return [
        Connect(
            "Claude Code",
            N_("terminal"),
            (N_("Run this, then type /mcp inside Claude Code to sign in."),),
            claude_code(mcp_url),
        ),
        Connect(
            "Codex",
            N_("terminal"),
            (N_("Run this; the sign-in opens by itself, or with the second line."),),
            f"codex mcp add {NAME} --url {mcp_url}\ncodex mcp login {NAME}",
        ),
        Connect(
            "Gemini CLI",
            N_("terminal"),
            (N_("Run this, then type /mcp auth gatehouse inside Gemini CLI to sign in."),),
            f"gemini mcp add --transport http {NAME} {mcp_url}",
        ),
    ]


def _editors(mcp_url: str) -> list[Connect]:
    cursor, code = {"url": mcp_url}, {"name": NAME, "type": "http", "url": mcp_url}
    encoded = quote(base64.b64encode(json.dumps(cursor).encode()), safe="")
    return [
        Connect(
            "Cursor",
            N_("editor"),
            (N_("Let Cursor add it, or put this into ~/.cursor/mcp.json."),),
            json.dumps({"mcpServers": {NAME: cursor}}, indent=2),
            f"cursor://anysphere.cursor-deeplink/mcp/install?name={NAME}&config={encoded}",
        ),
        Connect(
            "VS Code",
            N_("editor"),
            (N_("Let VS Code add it, or put this into .vscode/mcp.json."),),
            json.dumps({"servers": {NAME: {"type": "http", "url": mcp_url}}}, indent=2),
            "vscode:mcp/install?" + quote(json.dumps(code, separators=(",", ":")), safe=""),
        ),
    ]


def _others(mcp_url: str) -> list[Connect]:
    return [
        Connect(
            N_("Another app"),
            N_("whatever speaks MCP"),
            (
                N_("Give it the address above as a remote server, Streamable HTTP. It finds the sign-in by itself."),
                N_("If it only knows local servers, put this where it wants a command."),
            ),
            f"npx -y mcp-remote {mcp_url}",
        ),
        Connect(
            "curl",
            N_("scripts"),
            (N_("Make an API key on your account page, and send it along."),),
            curl(mcp_url),
        ),
    ]


def claude_code(mcp_url: str) -> str:
    return f"claude mcp add --transport http {NAME} {mcp_url}"


def curl(mcp_url: str) -> str:
    call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'
    return (
        f'curl -s {mcp_url} -H "Authorization: Bearer $API_KEY" \\\n'
        '  -H "Content-Type: application/json" -H "Accept: application/json, text/event-stream" \\\n'
        f"  -d '{call}'"
    )


async def landing(request: Request, world: World) -> Response:
    """For everybody; who is signed in sees it."""
    viewer = await sessions.viewer(request, world, world.now())
    needs_setup = False
    if viewer is None:
        async with world.db.connect() as db:
            needs_setup = await users.is_empty(db)
    secret, ways = sessions.cookie(request, world), ways_in(world.resources.default.audience)
    is_local = world.settings.is_loopback
    return render(
        "landing.html",
        script=True,
        csrf=sessions.form_token(secret, world) if viewer and secret else None,
        issuer=world.settings.issuer,
        mcp_url=world.resources.default.audience,
        others=[one for one in world.resources if one is not world.resources.default],
        title=world.resources.default.title,
        viewer=viewer,
        connect=ways,
        first=next(way for way in ways if not (is_local and way.from_afar)),  # one that works
        is_local=is_local,
        needs_setup=needs_setup,
    )

"""GET /: what this is, the MCP address, and how to connect each client."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app import sessions
from app.pages import render
from app.users import store as users
from app.world import World


@dataclass(frozen=True, slots=True)
class Connect:
    """How one client is connected; `command` is to be pasted."""

    client: str
    how: str
    command: str | None = None


def ways_in(mcp_url: str) -> list[Connect]:
    """One entry a client, in the words of that client's own menus."""
    return [
        Connect("Claude Code", "In a terminal, then /mcp inside Claude Code to sign in:", claude_code(mcp_url)),
        Connect(
            "Claude", "Settings, Connectors, Add custom connector; paste the address, leave the rest empty.", mcp_url
        ),
        Connect("Cursor", "In ~/.cursor/mcp.json:", f'{{"mcpServers": {{"gatehouse": {{"url": "{mcp_url}"}}}}}}'),
        Connect(
            "VS Code", "In .vscode/mcp.json:", f'{{"servers": {{"gatehouse": {{"type": "http", "url": "{mcp_url}"}}}}}}'
        ),
        Connect("curl", "Make an API key on your account page, and send it as a bearer token."),
    ]


def claude_code(mcp_url: str) -> str:
    return f"claude mcp add --transport http gatehouse {mcp_url}"


async def landing(request: Request, world: World) -> Response:
    """For everybody; who is signed in sees it."""
    viewer = await sessions.viewer(request, world, world.now())
    async with world.db.connect() as db:
        needs_setup = await users.is_empty(db)
    secret = sessions.cookie(request, world)
    return render(
        "landing.html",
        csrf=sessions.form_token(secret, world) if viewer and secret else None,
        issuer=world.settings.issuer,
        mcp_url=world.settings.resource,
        account=viewer.email if viewer else None,
        connect=ways_in(world.settings.resource),
        needs_setup=needs_setup,
    )

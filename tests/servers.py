"""MCP servers that tests put behind the guard: one of the SDK's, ASGI apps that answer what a test wants."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

BEGUN: list[str] = []  # what lifespans did


class Seen(BaseModel):
    """Who is calling, by the SDK's context and by the scope of the request."""

    client: str
    subject: str
    scopes: list[str]
    resource: str
    principal: str
    headers: dict[str, str]


@asynccontextmanager
async def lifespan(server: Any) -> AsyncIterator[dict[str, str]]:
    BEGUN.append("start")
    yield {"shelf": "full"}
    BEGUN.append("stop")


repos = MCPServer("repos", lifespan=lifespan)


@repos.tool()
async def list_repos(ctx: Context[Any, Any]) -> Seen:
    """Who asks, as everything here knows it."""
    token, request = get_access_token(), ctx.request_context.request
    assert token is not None
    assert request is not None
    return Seen(
        client=token.client_id,
        subject=token.subject or "",
        scopes=token.scopes,
        resource=token.resource or "",
        principal=request.scope["state"]["principal"].subject,
        headers=dict(request.headers),
    )


@repos.tool()
async def create_repo(name: str) -> str:
    """Makes one."""
    if name == "taken":
        raise ValueError("there is one of this name")
    return f"made {name}"


@repos.tool()
async def delete_repo(name: str) -> str:
    """Deletes one."""
    return f"deleted {name}"


@repos.tool()
async def rename_repo(name: str, ctx: Context[Any, Any]) -> str:
    """Renames one, slowly enough to tell of it."""
    await ctx.report_progress(1, 2)
    return f"renamed {name}"


TOOLS = ("list_repos", "create_repo", "delete_repo", "rename_repo")


class Echo:
    """An ASGI app that answers what `answer` makes of each request, and remembers what came."""

    def __init__(self) -> None:
        self.came: list[tuple[Scope, bytes]] = []
        self.state: dict[str, Any] = {}
        self.answer: Callable[[Scope, bytes, Send], Awaitable[None]] = as_json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.came.append((scope, body))
        await self.answer(scope, body, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        scope["state"]["shelf"] = "full"
        BEGUN.append("echo start")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        BEGUN.append("echo stop")
        await send({"type": "lifespan.shutdown.complete"})


async def as_json(scope: Scope, body: bytes, send: Send) -> None:
    called = json.loads(body) if body else {}
    await whole(send, json.dumps({"jsonrpc": "2.0", "id": called.get("id"), "result": {"echo": called}}).encode())


async def whole(
    send: Send, body: bytes, kind: bytes = b"application/json", status: int = 200, coding: str = ""
) -> None:
    extra = [(b"content-encoding", coding.encode())] if coding else []
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *extra]})
    await send({"type": "http.response.body", "body": body})


async def streamed(send: Send, *chunks: bytes) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
    await send(start)
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


echo = Echo()


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """Says that it cannot start."""
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "Traceback …\nno shelf to put it on"})


async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
    """Says that it cannot start, and stays."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no shelf"})
    try:
        await receive()
    finally:
        BEGUN.append("stubborn gone")


async def lifeless(scope: Scope, receive: Receive, send: Send) -> None:
    """Knows no lifespan."""
    assert scope["type"] == "http"
    await whole(send, b'{"jsonrpc":"2.0","id":1,"result":{}}')


issues = MCPServer("issues")


@issues.tool()
async def list_issues(ctx: Context[Any, Any]) -> str:
    """At an account that the caller has connected."""
    request = ctx.request_context.request
    assert request is not None
    account = await request.scope["state"]["caller"].upstream("acme", "email")
    return f"{account.shown} may {' '.join(account.scope)}"

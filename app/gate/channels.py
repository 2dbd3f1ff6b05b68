"""What a backend hears and says, with something of the guard's in between (ASGI "HTTP", Fetch "CORS protocol")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Message, Receive, Send

from app.http import CORS_FIELDS


def replay(body: bytes, receive: Receive) -> Receive:
    """The checked body, then the real channel, so that a disconnect still cancels."""
    given = False

    async def channel() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return channel


def unless_away(state: Mapping[str, Any], send: Send) -> Send:
    """A tool that found the service it needs away says so by 503 (RFC 9110 §15.6.4), around the JSON-RPC error."""

    async def channel(message: Message) -> None:
        if "unavailable" in state and message["type"] == "http.response.start":
            message["status"] = 503
            message["headers"] = [*message["headers"], (b"retry-after", str(state["unavailable"]).encode())]
        await send(message)

    return channel


def with_cors(send: Send) -> Send:
    async def channel(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *CORS_FIELDS]
        await send(message)

    return channel

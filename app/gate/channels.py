"""What a backend hears and says, with something of the guard's in between (ASGI "HTTP", Fetch "CORS protocol")."""

from __future__ import annotations

from starlette.types import Message, Receive, Send

from app.web.http import OPEN_CORS


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


def with_cors(send: Send) -> Send:
    async def channel(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *OPEN_CORS]
        await send(message)

    return channel

"""An ASGI app whose GET is a stream on which nothing happens, and whose POST is answered at once: for as many streams as there may be."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from bench import raw

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
FIRST = b": open\n\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or scope["method"] != "GET":
        await raw.app(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": FIRST, "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass

"""An ASGI app behind the guard: streams that never end by themselves, and calls that take their time, or all of it."""

from __future__ import annotations

import asyncio
import json

from starlette.types import Receive, Scope, Send

SLOW_SECONDS = 1.5


async def news(scope: Scope, receive: Receive, send: Send) -> None:
    """`subscriptions/listen`, and a call of `drip`, open a stream for ever; other calls are answered after SLOW_SECONDS, and one
    of `hang` never."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    message = json.loads((await receive())["body"])
    called = message.get("params", {}).get("name")
    if called == "drip" or message["method"] == "subscriptions/listen":
        start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
        await send(start)
        await send({"type": "http.response.body", "body": b'data: {"news":1}\n\n', "more_body": True})
        await asyncio.Event().wait()
    if called == "hang":
        await asyncio.Event().wait()
    await asyncio.sleep(SLOW_SECONDS)
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})

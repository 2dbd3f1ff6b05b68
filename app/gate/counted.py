"""A call is counted when its answer is a result: no JSON-RPC error, and not a tool's own `isError` (MCP tools "Error Handling")."""

from __future__ import annotations

from datetime import datetime

from starlette.types import Message, Send

from app.protocol.types import Principal
from app.tally import Tally

# Inside a string of JSON every quote is escaped, so that no tool's text can read like one of these.
RESULT, FAILED = b'"result":', b'"isError":true'


def counted(send: Send, tally: Tally, principal: Principal, tool: str, now: datetime) -> Send:
    """`send`, with an eye on what is sent. `tool` is a declared one."""
    worked = failed = False

    async def channel(message: Message) -> None:
        nonlocal worked, failed
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            worked = worked or RESULT in body
            failed = failed or FAILED in body
            if worked and not failed and not message.get("more_body", False):
                tally.count(principal.subject, principal.client_id, tool, now)
        await send(message)

    return channel

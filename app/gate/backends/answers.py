"""What of a backend's answer goes on to the caller (MCP Streamable HTTP "Sending Messages to the Server", both wire eras)."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from app.gate.backends.calls import Call
from app.gate.backends.faults import BackendFault, Busy, Nonsense, RefusedUs, TooLarge, UnknownSession
from app.gate.backends.passing import Answered
from app.gate.backends.wire import Connection

SSE, JSON = b"text/event-stream", b"application/json"
READ_BYTES = (
    256 * 1024
)  # of an answer that is looked into; of a longer one only whether it begins and ends as JSON does
BLANKS = b" \t\r\n"


def check(status: int, answered: Answered) -> None:
    """Raises the fault for what may not be passed on, whatever its body is."""
    if status in (401, 403, 407):
        raise RefusedUs(f"status {status}")
    if 300 <= status < 400:
        raise Nonsense(f"status {status}; redirects are not followed, since what we send is for this address alone")
    if status == 503 or status == 429:
        raise Busy(f"status {status}", retry_after=answered.retry_after)
    if status >= 500:
        raise BackendFault(f"status {status}")
    if answered.is_coded:
        raise Nonsense("compressed, which was not asked for")


async def whole(connection: Connection, declared: int | None, largest: int) -> bytes:
    """The body. Raises TooLarge, and what ended it early."""
    if declared is not None and declared > largest:
        raise TooLarge(f"{declared} bytes")
    first = await connection.chunk()
    if len(first) <= largest and connection.is_over:  # nearly always: it came in one piece
        return first
    chunks, size = [first], len(first)
    while size <= largest and (chunk := await connection.chunk()):
        chunks.append(chunk)
        size += len(chunk)
    if size > largest:
        raise TooLarge(f"more than {largest} bytes")
    return b"".join(chunks)


def refusal(call: Call, status: int, body: bytes, *, had_session: bool) -> bytes | None:
    """The body to go with a status of 4xx: the backend's own JSON-RPC error, or None where ours says it better.

    Raises UnknownSession and Nonsense.
    """
    message = _parsed(body)
    if isinstance(message, dict) and isinstance(message.get("error"), dict) and "jsonrpc" in message:
        # Servers that refuse a request before they read it leave its id out.
        return body if message.get("id") is not None else to_json({**message, "id": call.identifier})
    if status == 404 and had_session:
        raise UnknownSession("the backend does not know it")
    if status == 404 or (status == 405 and call.method == "POST"):
        raise Nonsense(f"status {status}, and no JSON-RPC: is the address right?")
    return None


def answer(call: Call, body: bytes) -> bytes:
    """The JSON answer to the caller's request. Raises Nonsense for what is none."""
    if len(body) > READ_BYTES:
        if body[:64].strip(BLANKS)[:1] != b"{" or body[-64:].strip(BLANKS)[-1:] != b"}":
            raise Nonsense("not a JSON object")
        return body
    message = _parsed(body)
    if not isinstance(message, dict) or not ("result" in message or "error" in message):
        raise Nonsense("no JSON-RPC answer")
    if message.get("id") != call.identifier and not (message.get("id") is None and "error" in message):
        raise Nonsense("the answer to another request")
    return body


def _parsed(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:
        return None

"""What of a backend's answer goes on to the caller (MCP Streamable HTTP "Sending Messages to the Server", both wire eras)."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json

from app.gate.backends.calls import Call
from app.gate.backends.faults import BackendFault, Busy, Header, Nonsense, RefusedUs, TooLarge, UnknownSession
from app.gate.backends.passing import one
from app.gate.backends.wire import Connection

SSE, JSON = b"text/event-stream", b"application/json"
READ_BYTES = (
    256 * 1024
)  # of an answer that is looked into; of a longer one only whether it begins and ends as JSON does
BLANKS = b" \t\r\n"


def media_type(headers: list[Header]) -> bytes:
    return one(headers, b"content-type").split(b";")[0].strip().lower()


def check(call: Call, status: int, headers: list[Header]) -> None:
    """Raises the fault for what may not be passed on, whatever its body is."""
    if status in (401, 403, 407):
        raise RefusedUs(f"status {status}")
    if 300 <= status < 400:
        raise Nonsense(f"status {status}; redirects are not followed, since what we send is for this address alone")
    if status == 503 or status == 429:
        after = one(headers, b"retry-after")
        raise Busy(f"status {status}", retry_after=int(after) if after.isdigit() and len(after) < 7 else None)
    if status >= 500:
        raise BackendFault(f"status {status}")
    if one(headers, b"content-encoding") not in (b"", b"identity"):
        raise Nonsense("compressed, which was not asked for")


async def whole(connection: Connection, largest: int) -> bytes:
    """The body. Raises TooLarge, and what ended it early."""
    declared = one(connection.headers, b"content-length")
    if declared.isdigit() and (len(declared) > 15 or int(declared) > largest):
        raise TooLarge(f"{declared.decode()} bytes")
    chunks, size = [], 0
    while chunk := await connection.chunk():
        chunks.append(chunk)
        size += len(chunk)
        if size > largest:
            raise TooLarge(f"more than {largest} bytes")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def refusal(call: Call, status: int, body: bytes, *, had_session: bool) -> bytes | None:
    """The body to go with a status of 4xx: the backend's own JSON-RPC error, or None where ours says it better.

    Raises UnknownSession and Nonsense.
    """
    message = _parsed(body)
    if isinstance(message, dict) and isinstance(message.get("error"), dict) and "jsonrpc" in message:
        return body
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

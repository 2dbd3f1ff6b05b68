"""What a caller is told when the server behind a resource does not answer as it should (JSON-RPC 2.0 §5.1)."""

from __future__ import annotations

from typing import Any

from app.http import request_id

# Of the range that JSON-RPC leaves to implementations, the part that MCP has not taken (2026-07-28, basic "Error Codes").
GONE, SLOW = -32000, -32001
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL = -32600, -32601, -32602, -32603
NOT_FOUND_BEFORE_2026 = -32002
SUBJECT = "the server behind this resource"


class Fault(Exception):
    """`message` is for the caller, without anything that the server wrote; `retry_after` in seconds."""

    def __init__(
        self, code: int, message: str, status: int = 200, *, retry_after: int | None = None, data: Any = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after
        self.data = data

    def error(self) -> dict[str, Any]:
        """The `error` member, with the id under which the log knows this request."""
        data = self.data if isinstance(self.data, dict) else {}
        return {"code": self.code, "message": str(self), "data": {**data, "request_id": request_id.get()}}


def gone(why: str) -> Fault:
    """It ended, or it cannot be started."""
    return Fault(GONE, f"{SUBJECT} {why}", 502)


def later(why: str, seconds: float) -> Fault:
    """Not now; `seconds` until it is worth asking again."""
    return Fault(GONE, f"{SUBJECT} {why}", 503, retry_after=max(1, round(seconds + 0.5)))


def slow(why: str) -> Fault:
    return Fault(SLOW, f"{SUBJECT} {why}", 504)


def garbled(why: str) -> Fault:
    """It answered, but not with an answer."""
    return Fault(INTERNAL, f"{SUBJECT} gave {why}", 502)

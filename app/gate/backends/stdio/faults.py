"""What a caller is told when the server behind a resource does not answer as it should (JSON-RPC 2.0 §5.1)."""

from __future__ import annotations

from typing import Any

from app.web.http import request_id

BACKEND_FAULT = -32000  # of the range that JSON-RPC leaves to servers, and MCP 2026-07-28 to implementations
INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32600, -32601, -32602
NOT_FOUND_BEFORE_2026 = -32002
SUBJECT = "the server behind this address"


class Fault(Exception):
    """`message` is for the caller, without anything that the server wrote; `word` says the same to programs; `retry_after`
    in seconds."""

    def __init__(
        self,
        code: int,
        message: str,
        status: int = 200,
        *,
        word: str | None = None,
        retry_after: int | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.word = word
        self.retry_after = retry_after
        self.data = data

    def error(self) -> dict[str, Any]:
        """The `error` member, with the id under which the log knows this request."""
        data = self.data if isinstance(self.data, dict) else {}
        word = {} if self.word is None else {"error": self.word}
        return {"code": self.code, "message": str(self), "data": {**data, **word, "request_id": request_id.get()}}


def gone(why: str) -> Fault:
    """It ended; whether the call was carried out is not known."""
    return Fault(BACKEND_FAULT, f"{SUBJECT} {why}", 502, word="backend_broke_off")


def unreachable(why: str) -> Fault:
    """It cannot be started."""
    return Fault(BACKEND_FAULT, f"{SUBJECT} {why}", 502, word="backend_unreachable")


def later(why: str, seconds: float) -> Fault:
    """Not now; `seconds` until it is worth asking again."""
    said = f"{SUBJECT} {why}"
    return Fault(BACKEND_FAULT, said, 503, word="backend_busy", retry_after=max(1, round(seconds + 0.5)))


def slow(why: str) -> Fault:
    return Fault(BACKEND_FAULT, f"{SUBJECT} {why}", 504, word="backend_timeout")


def garbled(why: str, word: str = "backend_unintelligible") -> Fault:
    """It answered, but not with an answer."""
    return Fault(BACKEND_FAULT, f"{SUBJECT} gave {why}", 502, word=word)

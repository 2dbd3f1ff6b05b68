"""What a caller is told when the server behind a resource fails it: an HTTP status and a JSON-RPC error (JSON-RPC 2.0 §5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic_core import to_json
from starlette.types import Send

from app.asking import refused
from app.web.http import request_id

BACKEND_FAULT = -32000  # of the range that JSON-RPC leaves to servers, and MCP 2026-07-28 to implementations
SESSION_NOT_FOUND = -32001  # as the SDKs have it
Header = tuple[bytes, bytes]


class BackendFault(Exception):
    """`said` goes to the caller, `why` into the log alone: it may name what is inside."""

    error: ClassVar[str] = "backend_failed"
    status: ClassVar[int] = 502
    code: ClassVar[int] = BACKEND_FAULT
    said: ClassVar[str] = "the server behind this address failed"

    def __init__(self, why: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.retry_after = retry_after


class Unreachable(BackendFault):
    error = "backend_unreachable"
    said = "the server behind this address cannot be reached"


class BrokenOff(BackendFault):
    """Whether the call was carried out is not known."""

    error = "backend_broke_off"
    said = "the server behind this address broke off; the call may or may not have been carried out"


class TimedOut(BackendFault):
    error, status = "backend_timeout", 504
    said = "the server behind this address took too long; the call may or may not have been carried out"


class Nonsense(BackendFault):
    error = "backend_unintelligible"
    said = "the server behind this address answered with something that is not MCP"


class TooLarge(BackendFault):
    error = "backend_answer_too_large"
    said = "the server behind this address answered with more than may be passed on"


class RefusedUs(BackendFault):
    """Its 401 and 403 are between it and us: as our own they would make the client throw its token away."""

    error = "backend_refused"
    said = "the server behind this address does not accept what this gateway identifies itself with"


class NotOffered(BackendFault):
    """The operator names a service in gatehouse.toml that nobody can connect an account of."""

    error = "upstream_not_offered"
    said = "this needs an account at a service that is not configured here"


class UpstreamAway(BackendFault):
    """Nothing is wrong with the caller's token, nor with the backend's: the service that gives the latter is away."""

    error, status = "upstream_unavailable", 503
    said = "a service that this server needs is not available"


class Busy(BackendFault):
    error, status = "backend_busy", 503
    said = "the server behind this address has too much to do"


class TooManyAtOnce(BackendFault):
    error, status = "too_many_at_once", 429
    said = "too many requests of yours are open at the same time"


class UnknownSession(BackendFault):
    """MCP 2025-11-25 "Session Management": 404, and the client begins a new one."""

    error, status, code = "session_not_found", 404, SESSION_NOT_FOUND
    said = "Session not found"


class Revoked(BackendFault):
    """Or expired, where the stream would outlive it: the next request meets the guard, and is told how to go on."""

    error, status = "token_revoked", 401
    said = "the token of this request is no longer valid"


class Stopping(BackendFault):
    """Nothing is wrong: streams that were made to last are let go, and their clients come back."""

    error, status = "stopping", 503
    said = "this server is being stopped or changed"


class Gone(BackendFault):
    """The caller has left: nobody is told anything."""


def message_of(fault: BackendFault, identifier: object) -> bytes:
    """The JSON-RPC error, with the id under which the log knows this request."""
    refused.set(fault.error)
    error: dict[str, Any] = {
        "code": fault.code,
        "message": fault.said,
        "data": {"error": fault.error, "request_id": request_id.get()},
    }
    return to_json({"jsonrpc": "2.0", "id": identifier, "error": error})


async def tell(
    fault: BackendFault, identifier: object, send: Send, status: int | None = None, others: Iterable[Header] = ()
) -> None:
    """As a whole answer, with `status` where it is not the fault's own, and `others` among its headers."""
    body = message_of(fault, identifier)
    headers = [*others, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if fault.retry_after is not None:
        headers.append((b"retry-after", b"%d" % fault.retry_after))
    if isinstance(fault, Revoked):
        headers.append((b"www-authenticate", b'Bearer error="invalid_token"'))
    await send({"type": "http.response.start", "status": status or fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

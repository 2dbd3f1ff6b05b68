"""What a caller is told of a backend that did not answer: a JSON-RPC error with their id (JSON-RPC 2.0 §5.1)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from app.asking import refused
from app.web.http import request_id

INTERNAL_ERROR = -32603


def stopping(scope: Scope) -> Response:
    """For a call that was not answered when the server had no more time."""
    response = failed(scope, "the server stops, and the call was not answered; try again", 503)
    response.headers["Retry-After"] = "1"
    return response


def failed(scope: Scope, why: str, status: int) -> Response:
    """`why` is told; what the backend said of it is not."""
    refused.set("backend_failed")
    message = scope["state"].get("message")
    error = {"code": INTERNAL_ERROR, "message": why, "data": {"request_id": request_id.get()}}
    identifier = message.get("id") if isinstance(message, dict) else None
    return JSONResponse({"jsonrpc": "2.0", "id": identifier, "error": error}, status)

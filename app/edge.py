"""The outermost layer: a request id, the headers every answer has, one log line, and the URL table looked up by exact path."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http import new_request_id, request_id

QUIET = frozenset({"/healthz", "/readyz"})


class Edge:
    """Exact paths go straight to their door, without a walk through a route table; the rest goes to `app`."""

    def __init__(self, doors: Mapping[str, ASGIApp], app: ASGIApp, *, https: bool, log_calls: bool) -> None:
        self._doors = doors
        self._app = app
        self._log = structlog.get_logger("gatehouse.request").bind()
        self._log_calls = log_calls  # also the calls of /mcp that went well
        headers = [(b"x-content-type-options", b"nosniff")]
        if https:
            headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = new_request_id()
        request_id.set(identifier)
        scope.setdefault("state", {})["request_id"] = identifier
        extra = [*self._headers, (b"x-request-id", identifier.encode())]
        started = time.perf_counter()
        status = 0

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        path = scope["path"]
        try:
            await self._doors.get(path, self._app)(scope, receive, labelled)
        finally:
            if path not in QUIET and (self._log_calls or path != "/mcp" or status >= 400):
                milliseconds = round((time.perf_counter() - started) * 1000, 1)
                self._log.info("request", method=scope["method"], path=path[:200], status=status, ms=milliseconds)

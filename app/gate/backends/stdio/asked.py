"""One POST as it was asked: which era, what kind of message, for whom the answer is (MCP streamable HTTP, in both eras)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
)
from starlette.types import Scope

from app.gate.backends.stdio.call import Json
from app.gate.backends.stdio.eras import HANDSHAKE
from app.gate.backends.stdio.faults import INVALID_PARAMS, INVALID_REQUEST, Fault
from app.protocol.types import Principal


@dataclass(frozen=True, slots=True)
class Asked:
    """`modern` is by the header alone, as the SDKs have it. `session` tells one client's conversations apart, for
    cancellation; it opens nothing."""

    message: Json
    principal: Principal
    modern: bool
    session: bytes
    takes_events: bool
    takes_json: bool

    @property
    def is_response(self) -> bool:
        """To what was never asked: no client is asked anything."""
        return not self.modern and "method" not in self.message and bool(self.message.keys() & {"result", "error"})

    @property
    def method(self) -> str:
        return str(self.message["method"])

    def origin(self, identifier: Any) -> object:
        """The name of a request among all callers': ids are the client's own, and clients count alike."""
        return (self.principal.subject, self.principal.client_id, self.session, type(identifier), identifier)


def asked(scope: Scope, message: Json) -> Asked:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    version = headers.get(b"mcp-protocol-version")
    accept = headers.get(b"accept", b"*/*").lower()
    anything = b"*/*" in accept
    return Asked(
        message,
        scope["state"]["principal"],
        version is not None and version.decode("latin-1") not in HANDSHAKE,
        headers.get(b"mcp-session-id", b""),
        anything or b"text/event-stream" in accept or b"text/*" in accept,
        anything or b"application/json" in accept or b"application/*" in accept,
    )


def check(scope: Scope, request: Asked) -> None:
    """What a request must be, before anybody is asked. Raises Fault."""
    message = request.message
    if message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        raise Fault(INVALID_REQUEST, "the body is not one JSON-RPC request or notification", 400)
    if "id" in message and type(message["id"]) not in (int, str):
        raise Fault(INVALID_REQUEST, "the id of a request is a string or an integer", 400)
    if not isinstance(message.get("params", {}), dict):
        raise Fault(INVALID_PARAMS, "the params of a request are an object", 400)
    if request.modern and "id" in message:
        _check_envelope(scope, message)


def _check_envelope(scope: Scope, message: Json) -> None:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    repeated = find_duplicated_routing_header(headers)
    if repeated is not None:
        raise Fault(INVALID_REQUEST, f"the header {repeated} appears more than once", 400)
    verdict = classify_inbound_request(message, headers=dict(headers))
    if isinstance(verdict, InboundLadderRejection):
        status = ERROR_CODE_HTTP_STATUS.get(verdict.code, 400)
        raise Fault(verdict.code, verdict.message, status, data=verdict.data)

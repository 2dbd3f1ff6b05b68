"""HTTP that every room shares: one address (`Door`), bodies read with limits, who is calling, headers (RFC 9110, RFC 6749 §5)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable

import asyncpg
import structlog
from pydantic_core import from_json, to_json
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from app.asking import refused
from app.asking import request_id as request_id
from app.db.engine import is_unavailable
from app.language.catalogs import chosen, speak
from app.protocol.errors import InvalidRequest, NoToken, OAuthError, TemporarilyUnavailable
from app.protocol.params import Params, parse
from app.traces.recording import note
from app.web.addresses import client_address as client_address
from app.web.addresses import is_from as is_from
from app.world import World

Endpoint = Callable[[Request, World], Awaitable[Response]]
Renderer = Callable[[OAuthError, Request, World], Response]

FORM_BYTES = 64 * 1024
JSON_BYTES = 32 * 1024
JSON_DEPTH = 20
EXPOSED = (
    b"WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, X-Request-Id, DPoP-Nonce, "
    b"Idempotency-Replayed, PAYMENT-REQUIRED, PAYMENT-RESPONSE, Payment-Receipt, Gatehouse-Receipt"
)
OPEN_CORS = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED)]
CORS_HEADERS = "authorization, content-type, accept, dpop, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id"
CORS_HEADERS += ", x-lw-public, payment-signature, accept-payment, idempotency-key"

log = structlog.get_logger("gatehouse.http")


def new_request_id() -> str:
    """To be found in the log, not to be kept secret; so no system call for it."""
    return f"{random.getrandbits(64):016x}"


class Door:
    """One address of the URL table: which endpoint answers which method, and how its refusals are rendered.

    Everything an endpoint can raise ends here, as a word of the specification and never as a stack trace.
    """

    def __init__(
        self, world: World, render: Renderer | None = None, *, cors: bool = False, **methods: Endpoint
    ) -> None:
        self._world = world
        self._render = render or json_refusal
        self._cors = cors
        self._speaks = render is not None  # to people: all others are spoken to in the specification's English
        self._methods = methods
        if "GET" in methods:
            self._methods.setdefault("HEAD", methods["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if self._speaks:
            speak(chosen(request.headers.get("accept-language", "")) or "en")
        response = await self._answer(request)
        if self._cors:
            response.raw_headers.extend(OPEN_CORS)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        endpoint = self._methods.get(request.method)
        if endpoint is None:
            if request.method == "OPTIONS" and self._cors:
                return preflight(request, self._methods)
            return method_not_allowed(self._methods)
        try:
            return await endpoint(request, self._world)
        except Exception as fault:
            return self._render(as_refusal(fault), request, self._world)


def as_refusal(fault: Exception) -> OAuthError:
    """What the caller is told of any fault; the log is told the rest."""
    if isinstance(fault, OAuthError):
        return fault
    if is_unavailable(fault):
        log.warning("database away", error=type(fault).__name__)
        return TemporarilyUnavailable("the server cannot reach its database; try again in a moment", retry_after=1)
    if _is_bad_input(fault):
        log.warning("input refused by the database", error=type(fault).__name__)
        return InvalidRequest("the request has characters or numbers that cannot be stored")
    log.error("unexpected fault", exc_info=fault)
    return OAuthError("something went wrong here; the request id finds it in the log")


def _is_bad_input(fault: Exception) -> bool:
    origin = fault.orig.__cause__ if isinstance(fault, DBAPIError) and fault.orig is not None else fault
    return isinstance(origin, asyncpg.DataError)


def json_refusal(refusal: OAuthError, request: Request, world: World) -> Response:
    """RFC 6749 §5.2. Basic is named only to those who tried it."""
    response = no_store(traced(refusal), refusal.status)
    if getattr(refusal, "tried_basic", False):
        response.headers["WWW-Authenticate"] = 'Basic realm="gatehouse", charset="UTF-8"'
    response.headers.update(refusal.headers)
    for name, value in refusal.challenges:
        response.headers.append(name, value)
    return response


def traced(refusal: OAuthError) -> dict[str, object]:
    """The body of a refusal, with the id under which `gatehouse trace` and the log know this request."""
    note(error=refusal.error, description=refusal.description)
    refused.set(refusal.error)
    return {**refusal.document(), "request_id": request_id.get()}


class Json(Response):
    """Starlette's JSONResponse with an encoder that takes a tenth of the time."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return to_json(content)


def no_store(document: object, status: int = 200) -> Response:
    """JSON that nobody may keep (RFC 6749 §5.1)."""
    return Json(document, status, {"Cache-Control": "no-store", "Pragma": "no-cache"})


def see_other(url: str) -> Response:
    """303, never 307: a form with a password must not be sent on (RFC 9700 §4.12)."""
    return RedirectResponse(url, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


def preflight(request: Request, methods: Iterable[str]) -> Response:
    asked = request.headers.get("access-control-request-headers", "").lower()
    extra = [word.strip() for word in asked.split(",") if word.strip().startswith("mcp-param-")]
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ", ".join([CORS_HEADERS, *extra]),
            "Access-Control-Max-Age": "3600",
        },
    )


def method_not_allowed(methods: Iterable[str]) -> Response:
    response = no_store(traced(InvalidRequest("this method is not allowed here")), 405)
    response.headers["Allow"] = ", ".join(methods)
    return response


async def body_of(request: Request, world: World, limit: int) -> bytes:
    return await world.bodies.read(request.receive, request.headers.get("content-length", "").encode("latin-1"), limit)


def media_type(request: Request) -> str:
    """In lower case, without parameters; empty when it was sent twice or not at all."""
    values = request.headers.getlist("content-type")
    return values[0].split(";")[0].strip().lower() if len(values) == 1 else ""


async def form(request: Request, world: World) -> Params:
    """The parameters of a form body (RFC 6749 §3.2); none may stand in the URL, where logs keep them."""
    if media_type(request) != "application/x-www-form-urlencoded":
        raise InvalidRequest("the body must be application/x-www-form-urlencoded")
    if request.scope["query_string"]:
        raise InvalidRequest("parameters belong in the body, not in the URL")
    return parse(await body_of(request, world, FORM_BYTES))


async def json_body(request: Request, world: World) -> object:
    """The JSON value of the body. Raises InvalidRequest for anything that is not plain, shallow, storable JSON."""
    if media_type(request) != "application/json":
        raise InvalidRequest("the body must be application/json")
    try:
        value = from_json(await body_of(request, world, JSON_BYTES), allow_inf_nan=False)
    except ValueError as fault:
        raise InvalidRequest("the body is not valid JSON") from fault
    if not _is_tame(value, JSON_DEPTH):
        raise InvalidRequest("the JSON is nested too deeply or holds values that cannot be stored")
    return value


def _is_tame(value: object, depth: int) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, (int, float)):
        return abs(value) < 2**63  # not so for infinity and NaN either
    if isinstance(value, list):
        return depth > 0 and all(_is_tame(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return depth > 0 and all("\0" not in key and _is_tame(item, depth - 1) for key, item in value.items())
    return True


def bearer(values: list[bytes]) -> str:
    """The token, from every value of the Authorization header. Raises NoToken, or InvalidRequest for two headers (RFC 6750 §2.1)."""
    return token_of(values, b"bearer ")


def token_of(values: list[bytes], scheme: bytes) -> str:
    """The token behind this scheme, which ends in a blank. Raises as `bearer` does."""
    if not values or values[0][: len(scheme)].lower() != scheme:
        raise NoToken("a bearer token is needed here")
    if len(values) > 1:
        raise InvalidRequest("the Authorization header is included more than once")
    token: str = values[0][len(scheme) :].strip().decode("latin-1")
    return token

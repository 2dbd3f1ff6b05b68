"""The outermost layer: a request id, the headers every answer has, one log line, one step of the trace, and the URL table by exact path."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Iterable, Mapping
from datetime import datetime

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import asking
from app.protocol.errors import Misdirected, TemporarilyUnavailable
from app.settings import branding
from app.traces.recording import Draft, drafted, note
from app.traces.step import BROWSER, Step, what_is
from app.web.http import client_address, json_refusal, new_request_id
from app.web.pages import page_or_json
from app.world import World

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
ANY_HOST = QUIET | {"/forward-auth"}  # asked by load balancers by address, and by proxies in the name of other hosts
NOT_SERVED = "this Host is not served here; GATEHOUSE_PUBLIC_URL and GATEHOUSE_ALLOWED_HOSTS name those that are"
FORWARD_AUTH = "/forward-auth"  # its answers become those of other hosts, of which we promise nothing


class Edge:
    """Exact paths go straight to their door, without a walk through a route table; the rest goes to `app`."""

    def __init__(self, doors: Mapping[str, ASGIApp], app: ASGIApp, world: World) -> None:
        self._app = app
        self._world = world
        self._traced = world.traces.on
        self._measures = world.measures
        self._brand = world.settings.brand
        self._hosts = frozenset(host.encode() for host in world.settings.accepted_hosts())
        self._log = structlog.get_logger("gatehouse.request").bind()
        self._log_calls = world.settings.log_level == "debug"  # also the calls of /mcp that went well
        headers = [(b"x-content-type-options", b"nosniff")]
        if world.settings.is_https:
            headers.append((b"strict-transport-security", b"max-age=63072000; includeSubDomains"))
        self._headers = headers
        self._headers_elsewhere = headers[:1]
        self.serve(doors)

    def serve(self, doors: Mapping[str, ASGIApp]) -> None:
        """From the next request on these."""
        self._doors = doors
        paths = [resource.path for resource in self._world.resources]
        self._hot = frozenset([*paths, *(f"{path}/" for path in paths)])  # there the guard says what is worth tracing
        self._calls = self._hot | {FORWARD_AUTH}
        self._any_host = self._hot | ANY_HOST  # at the hot ones the guard looks itself

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        identifier, trace = state.get("span") or (found := new_request_id(), asking.trace_of(scope["headers"], found))
        asking.begins(identifier, trace, lambda: client_address(Request(scope), self._world.settings.trusted_proxies))
        branding.shown.set(self._brand)
        state["request_id"] = identifier
        path = scope["path"]
        always = self._headers if path != FORWARD_AUTH else self._headers_elsewhere
        extra = [*always, (b"x-request-id", identifier.encode())]
        started = time.perf_counter()
        status, answered = 0, started

        async def labelled(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], time.perf_counter()
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        if self._traced and path not in self._hot:
            state["trace"] = Draft()
            drafted.set(state["trace"])
        door = self._doors.get(path)
        try:
            ours = path in self._any_host or self._is_ours(scope["headers"])
            await ((door or self._app) if ours else self._turn_away)(scope, receive, labelled)
        except CancelledError:  # the server stops, and has no more time for this one
            if status:
                raise
            await self._stopping(scope)(scope, receive, labelled)
        finally:
            self._measure(scope, path if door else None, status, answered - started)
            if self._traced and ("trace" in state or status >= 400):
                self._trace(scope, path, status, identifier, state.get("trace") or Draft())
            if path not in QUIET and (self._log_calls or path not in self._calls or status >= 400):
                milliseconds = round((time.perf_counter() - started) * 1000, 1)
                self._log.info("request", method=scope["method"], path=path[:200], status=status, ms=milliseconds)

    def _is_ours(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether exactly one Host was sent, and one that is served (RFC 9112 §3.2)."""
        hosts = [value for name, value in headers if name == b"host"]
        return len(hosts) == 1 and (hosts[0] in self._hosts or hosts[0].strip(b" \t").lower() in self._hosts)

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        """For whoever came by another name: a page of elsewhere that has bound its own to our address, or a proxy that does not
        say which it was asked for."""
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        note(host=", ".join(hosts)[:200])
        refusal = Misdirected(NOT_SERVED)
        await json_refusal(refusal, Request(scope), self._world)(scope, receive, send)

    def _stopping(self, scope: Scope) -> Response:
        refusal = TemporarilyUnavailable("the server stops; try again in a moment", retry_after=1)
        return page_or_json(refusal, Request(scope), self._world)

    def _measure(self, scope: Scope, path: str | None, status: int, seconds: float) -> None:
        """By the address as it is written in the table: what strangers make up must not fill the memory."""
        if path is None:
            path = getattr(scope.get("route"), "path", "other")
        scope["state"]["route"] = path
        self._measures.counts["gatehouse_requests_total", path, status] += 1
        self._measures.time(seconds, "gatehouse_request_seconds", path)
        word = asking.refused.get()
        if word is not None:
            self._measures.counts["gatehouse_refusals_total", path, word] += 1

    def _trace(self, scope: Scope, path: str, status: int, identifier: str, draft: Draft) -> None:
        """Hands the step over to be written later; an answer that went well only where it belongs to connecting."""
        what = "mcp" if path in self._hot else what_is(path)
        if not draft.keep or (status < 400 and not _is_worth_keeping(what, scope["method"], draft)):
            return
        if path in QUIET or (
            path in self._hot and status == 405
        ):  # clients ask for a stream that is not offered: normal
            return
        traces, now = self._world.traces, self._world.now()
        address = asking.address() or "unknown"
        if traces.has_room(address, now):
            request, links = Request(scope), traces.links(draft)
            traces.add(_step(request, what or "other", path, status, identifier, draft, address, links, now))


def _is_worth_keeping(what: str | None, method: str, draft: Draft) -> bool:
    """A page that was opened outside of any sign-in for an app is nobody's step."""
    if what is None or method == "OPTIONS":
        return False
    return what not in BROWSER or bool(draft.linked or draft.error)


def _step(
    request: Request,
    what: str,
    path: str,
    status: int,
    identifier: str,
    draft: Draft,
    address: str,
    links: tuple[str, ...],
    now: datetime,
) -> Step:
    return Step(
        at=now,
        request_id=identifier,
        what=what,
        method=request.method,
        path=path,
        status=status,
        error=draft.error,
        description=draft.description,
        client_id=draft.client_id,
        client_name=draft.client_name,
        address=address,
        user_agent=request.headers.get("user-agent", ""),
        user_id=draft.user_id,
        connection_id=draft.connection_id,
        links=links,
        facts=draft.facts,
    )

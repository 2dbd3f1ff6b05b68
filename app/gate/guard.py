"""The guard in front of one resource: Host and Origin, then the token, then the method, then the body (RFC 6750, MCP transport)."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import NamedTuple

import structlog
from mcp.server.auth.middleware.auth_context import auth_context_var
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api_keys.callers import Callers
from app.gate import noted
from app.gate.answers import Counted, Filtered
from app.gate.channels import replay, with_cors
from app.gate.failed import failed, stopping
from app.gate.headers import Sorted, sorted_headers, uncoded
from app.gate.known import Acquaintances, Known
from app.gate.open_streams import OpenStream
from app.gate.passage import Passage
from app.gate.receipted import Receipted
from app.gate.refusals import TurnedBack, agree, challenged, too_often, turned_away, unknown_tool, unreadable
from app.gate.rules import RuleBook, Ruled, Unreadable
from app.gate.server import BODY_BYTES
from app.gate.stage import Stage
from app.gate.toll import Toll
from app.limits import Rate, hit
from app.measures import Key
from app.protocol.errors import InsufficientScope, NoToken, TooManyRequests
from app.protocol.types import Principal
from app.resources.model import CallRate, Resource
from app.web.edge import NOT_SERVED
from app.web.http import as_refusal, client_address, preflight
from app.world import World

NOT_ALLOWED = "this Origin is not allowed; GATEHOUSE_ALLOWED_ORIGINS names those that are"
log = structlog.get_logger("gatehouse.gate")


class Call(NamedTuple):
    """Of whom it is, and how the backend hears of it and answers; `paid`, where it cost something."""

    known: Known
    receive: Receive
    send: Send
    paid: Receipted | None = None


class Guard:
    """An ASGI app in front of a backend: whoever passes is in `scope["state"]["principal"]` and in the SDK's own context."""

    def __init__(
        self,
        resource: Resource,
        stage: Stage,
        world: World,
        callers: Callers,
        tools: Mapping[str, str],
        *,
        is_default: bool,
        guests_hold: frozenset[str] = frozenset(),
    ) -> None:
        """`tools` are the built-in ones with their scopes, where they are what stands behind it; `guests_hold` is the scope of
        who pays and has no account."""
        self.resource = resource
        self.stage = stage
        self.is_default = is_default
        self._world = world
        self._acquaintances = Acquaintances(world, callers, resource)
        self._rules = RuleBook(resource.rules, tools)
        self._toll = Toll(world, resource, guests_hold)
        self._hosts = frozenset(host.encode() for host in world.settings.accepted_hosts())
        self._metadata = f"{world.settings.issuer}/.well-known/oauth-protected-resource{resource.path}"
        self._is_foreign = resource.backend is not None  # the built-in tools count, and look at headers, themselves
        self._counts_as = "" if is_default else f"{resource.name}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = sorted_headers(scope)
        wanted = headers.wanted
        hosts = wanted[b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts or b"origin" in wanted:
            stranger = self._stranger(scope, headers)
            if stranger is not None:
                await stranger(scope, receive, send)
                return
            send = with_cors(send)
        if scope["method"] == "OPTIONS":
            await preflight(Request(scope), self.stage.methods)(scope, receive, send)
            return
        known = None
        try:
            known = await self._caller(scope, wanted)
            if scope["method"] == "POST":
                call = await self._posted(scope, receive, send, headers, known)
            else:
                assert known is not None
                call = Call(known, replay(b"", receive), self._unruled(scope, known.principal, send))
                scope["headers"] = headers.passed_on(None)
            if self._is_foreign:
                scope["headers"] = uncoded(scope["headers"])
        except Exception as fault:
            await self._refused(fault, scope, headers, known)(scope, receive, send)
            return
        await self._played(scope, call)

    async def _posted(self, scope: Scope, receive: Receive, send: Send, headers: Sorted, known: Known | None) -> Call:
        """Raises as `_ruled`."""
        ruled, passage = await self._ruled(scope, receive, headers, known)
        paid = None
        if passage is not None:
            known = known or self._acquaintances.introduced(passage.payer)
            send = paid = Receipted(send, passage)
        assert known is not None
        if known.is_new:
            noted.let_in(self._world, scope, headers, ruled.message, known)
        scope["headers"] = headers.passed_on(len(ruled.body))
        if self._is_foreign or self._rules.hides:
            send = self._watched(send, ruled, known.principal)
        return Call(known, replay(ruled.body, receive), send, paid)

    async def _played(self, scope: Scope, call: Call) -> None:
        scope["user"] = call.known.user
        scope["state"]["principal"] = call.known.principal
        auth_context_var.set(call.known.user)  # for the task of this request alone
        began = perf_counter()
        stream = OpenStream(call.send, scope, self.stage.streams, self.stage.calls)
        try:
            await self.stage.app(scope, call.receive, stream)
        except CancelledError:
            stream.was_it_us()
            if stream.answered_at is None:
                await stopping(scope)(scope, call.receive, call.send)
        except Exception as fault:
            if call.paid is not None:
                await call.paid.ended()
            if stream.answered_at is not None:
                raise
            log.error("backend raised", resource=self.resource.name, exc_info=fault)
            await failed(scope, "the server behind this address failed", 500)(scope, call.receive, call.send)
        finally:
            stream.finish()
            if stream.answered_at is not None:
                self._world.measures.time(stream.answered_at - began, "gatehouse_backend_seconds", self.resource.name)

    def levels(self) -> Iterator[tuple[Key, float]]:
        """Of this resource, for whoever measures."""
        yield ("gatehouse_backend_busy", self.resource.name), len(self.stage.calls)
        yield ("gatehouse_backend_streams", self.resource.name), len(self.stage.streams)
        yield ("gatehouse_callers_remembered", self.resource.name), len(self._acquaintances)

    async def _caller(self, scope: Scope, wanted: Mapping[bytes, list[bytes]]) -> Known | None:
        """None for a guest, who may have paid for this call. Raises what `Acquaintances.caller` raises."""
        try:
            return await self._acquaintances.caller(scope, wanted, self._world.now())
        except NoToken:
            if not self._toll.takes_guests or scope["method"] != "POST":
                raise
            return None

    async def _ruled(
        self, scope: Scope, receive: Receive, headers: Sorted, known: Known | None
    ) -> tuple[Ruled, Passage | None]:
        """The one message of the body, which this caller may send, and how it was paid for, where it costs something. Raises
        Unreadable, TurnedBack and the words of OAuth."""
        body = await self._world.bodies.read(receive, b"".join(headers.wanted[b"content-length"]), BODY_BYTES)
        ruled, principal = self._rules.ruled(body), known.principal if known else None
        rule = ruled.rule
        if principal is None and not rule.price:
            raise NoToken("a bearer token is needed here")
        if self._is_foreign:
            agree(ruled, headers)
        if not rule.allowed:
            raise TurnedBack(unknown_tool(ruled), f"nobody may call {ruled.tool}")
        if principal is not None and not rule.needs <= principal.scope:
            raise InsufficientScope(f"this call needs the scope {' '.join(sorted(rule.needs))}", rule.needs)
        if rule.rate is not None:
            await self._counted(ruled, rule.rate, self._whose(scope, principal))
        passage = None
        if rule.price:
            ruled, passage = await self._toll.passage(ruled, principal, headers, self._whose(scope, principal))
        scope["state"]["message"] = ruled.message
        return ruled, passage

    def _whose(self, scope: Scope, principal: Principal | None) -> str:
        """Whose calls and offers are counted together."""
        return principal.subject if principal else client_address(Request(scope), self._world.settings.trusted_proxies)

    def _unruled(self, scope: Scope, principal: Principal, send: Send) -> Send:
        """GET and DELETE, for backends that have streams and sessions; without a body. Raises as `_ruled`."""
        if scope["method"] not in self.stage.methods:
            allow = {"Allow": ", ".join(self.stage.methods)}
            raise TurnedBack(Response(status_code=405, headers=allow))
        needs = self._rules.baseline
        if not needs <= principal.scope:
            raise InsufficientScope(f"this needs the scope {' '.join(sorted(needs))}", needs)
        return self._filtered(send, principal, None) if self._rules.hides else send

    async def _counted(self, ruled: Ruled, rate: CallRate, whose: str) -> None:
        """One more call of this person, whatever the client, against the rate; in Postgres, so for all replicas."""
        who = f"{self.resource.name}:{ruled.tool}:{whose}"
        try:
            await hit(self._world.pool, Rate("call", rate.hits, rate.window), who, self._world.now())
        except TooManyRequests as fault:
            raise TurnedBack(too_often(ruled, fault), f"{ruled.tool} was called too often") from fault

    def _watched(self, send: Send, ruled: Ruled, principal: Principal) -> Send:
        """What comes back is looked at where it is a list of tools, or the answer to a call that somebody else's server gives."""
        if ruled.tool is None:
            is_list = self._rules.hides and ruled.message.get("method") == "tools/list"
            return self._filtered(send, principal, ruled.message.get("id")) if is_list else send
        if not self._is_foreign:
            return send
        count, tool = self._world.tally.count, self._counts_as + ruled.tool
        return Counted(send, lambda: count(principal.subject, principal.client_id, tool, self._world.now()))

    def _filtered(self, send: Send, principal: Principal, identifier: object) -> Send:
        return Filtered(send, lambda tool: self._rules.shows(tool, principal.scope), identifier)

    def _refused(self, fault: Exception, scope: Scope, headers: Sorted, known: Known | None) -> Response:
        """The answer, and a word about it to the trace."""
        principal = known.principal if known else None
        if isinstance(fault, TurnedBack):
            if fault.why:
                noted.turned_back(scope, headers, fault.why, principal)
            return fault.response
        if isinstance(fault, Unreadable):
            noted.unreadable(scope, headers, fault, principal)
            return unreadable(fault)
        refusal = as_refusal(fault)
        noted.refused(scope, headers, refusal, principal)
        return challenged(refusal, self._metadata, self.resource.default, principal, headers.wanted)

    def _stranger(self, scope: Scope, headers: Sorted) -> Response | None:
        """DNS rebinding: a browser page of elsewhere names its own Host or Origin (MCP transport, "Security Warning")."""
        hosts, origins = headers.wanted[b"host"], headers.wanted.get(b"origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            noted.stranger(scope, headers)
            return turned_away("misdirected_request", NOT_SERVED, 421)
        for origin in origins:
            if self._world.settings.accepts_origin(origin.decode("latin-1")):
                continue
            noted.stranger(scope, headers)
            return turned_away("forbidden", NOT_ALLOWED, 403)
        return None

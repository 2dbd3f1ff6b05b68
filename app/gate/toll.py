"""Calls that cost sats: paid with the call itself in any of the three dialects, or charged to the caller's budget; else the
caller is told how to pay, in a form that HTTP clients (402) or MCP clients (a tool's result) can act on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import from_json, to_json
from starlette.responses import JSONResponse, Response

from app.agents.sessions import NO_PROJECT
from app.gate.headers import Sorted
from app.http import request_id
from app.metering.budgets import budget_of
from app.metering.charging import charge, release, request_hash
from app.metering.model import KEY_REUSED, MOST_KEY, RATE_LIMITED, Denied
from app.protocol import mpp, x402
from app.protocol.errors import NoToken, OAuthError
from app.protocol.offer import NoPayment, Offer, Proof
from app.protocol.scope import expanded
from app.protocol.types import Principal
from app.selling import facilitator, receipts
from app.selling.offers import counter, offered, token_id
from app.selling.receipts import Receipt
from app.selling.taking import give_back, take_call
from app.tokens.secrets import new_id
from app.world import World

IN_META = (mpp.CREDENTIAL, x402.PAYMENT)
TOO_OFTEN, CONFLICT = -32008, -32009  # below what MCP keeps for itself
PAY_FIRST = "payment is needed first"
MINUTE = timedelta(minutes=1)


class Unpaid(Exception):
    """An answer in place of the tool's."""

    def __init__(self, response: Response, why: str) -> None:
        super().__init__(why)
        self.response = response
        self.refusal: OAuthError = NoPayment(why)


@dataclass(frozen=True, slots=True)
class Call:
    """What is called, and what that costs; `body` is how it is passed on: without the payment."""

    tool: str
    sats: int
    needs: frozenset[str]
    message: dict[str, Any]
    meta: Mapping[str, Any]
    body: bytes


@dataclass(frozen=True, slots=True)
class Passage:
    """It is paid: `receipt` for when the tool has worked, `undo` for when it has not. `guest` is who calls without an account."""

    receipt: Callable[[], Receipt]
    undo: Callable[[], Awaitable[object]]
    guest: Principal | None = None


class Toll:
    """In front of one resource; `service` is its name in macaroons."""

    def __init__(self, world: World, resource: str, service: str, needs: Mapping[str, frozenset[str]]) -> None:
        self._world = world
        self._resource = resource
        self._service = service
        self._needs = needs
        self._prices = world.settings.prices
        self._guests_hold = expanded(frozenset(world.settings.paid_scope))
        self.takes_guests = bool(self._prices and self._guests_hold)

    def call_of(self, body: bytes) -> Call | None:
        """None for what costs nothing."""
        if not self._prices or b'"tools/call"' not in body:
            return None
        message = from_json(body)
        params = message.get("params")
        tool = params.get("name") if isinstance(params, dict) else None
        if not isinstance(tool, str) or tool not in self._prices or message.get("method") != "tools/call":
            return None
        meta = params.get("_meta")
        if not isinstance(meta, dict):
            meta = {}
        elif any(key in meta for key in IN_META):
            params["_meta"] = {key: value for key, value in meta.items() if key not in IN_META}
            body = to_json(message)
        return Call(tool, self._prices[tool], self._needs.get(tool, frozenset({"read"})), message, meta, body)

    async def passage(self, call: Call, principal: Principal | None, headers: Sorted, who: str) -> Passage:
        """For this caller, or for a guest. `who` is whose offers are counted. Raises Unpaid, NoToken where guests may not
        call this, and the words for payments that cannot be read or looked up."""
        now, wanted = self._world.now(), headers.wanted
        if principal is None and not call.needs <= self._guests_hold:
            raise NoToken("a bearer token is needed for this tool")
        authorization = "" if principal else _only(wanted.get(b"authorization"))
        at = counter(self._world, call.sats)
        try:
            given = at.presented(authorization, _only(wanted.get(b"payment-signature")) or None)
            given = given or at.presented_in(call.meta)
            if given is not None:
                return await self._paid(call, given, principal, now)
        except NoPayment as fault:
            raise await self._unpaid(call, principal, headers, who, fault.description, now) from fault
        if principal is not None:
            charged = await self._charged(call, principal, _only(wanted.get(b"idempotency-key")), now)
            if charged is not None:
                return charged
        raise await self._unpaid(call, principal, headers, who, PAY_FIRST, now)

    async def _paid(
        self, call: Call, given: Proof | x402.Chosen, principal: Principal | None, now: datetime
    ) -> Passage:
        """Raises NoPayment, TemporarilyUnavailable."""
        world, by = self._world, new_id("call")
        if isinstance(given, x402.Chosen):
            settled = await facilitator.settle(world, given, call.sats, now)
            guest = None if principal else self._guest(settled.transaction, now)
            claims = self._claims(call, principal or guest)
            return Passage(lambda: receipts.for_settled(world, settled, claims, now), _nothing, guest)
        bought = await take_call(world, given, self._resource, self._service, call.tool, by, now)
        guest = None if principal else self._guest(bought.payment_hash, now)
        claims = self._claims(call, principal or guest)
        return Passage(
            lambda: receipts.for_proof(world, given, bought.bolt11, claims, now),
            lambda: give_back(world, bought.payment_hash, by),
            guest,
        )

    async def _charged(self, call: Call, principal: Principal, key: str, now: datetime) -> Passage | None:
        """None when there is too little in the budget, or none. Raises Unpaid where paying would not help."""
        world, budget_id = self._world, budget_of(principal)
        if budget_id is None:
            return None
        key = key[:MOST_KEY] or new_id("call")
        arguments = call.message["params"].get("arguments")
        request = request_hash(call.tool, arguments, call.sats)
        outcome = await charge(world.pool, budget_id, call.sats, key, request, now, tool=call.tool)
        if isinstance(outcome, Denied):
            _refuse(call, outcome)
            return None
        if outcome.replayed:
            raise _conflict(call, "this Idempotency-Key has had its call, which was charged")
        claims = self._claims(call, principal) | {"remainingSats": outcome.remaining_sats}
        return Passage(
            lambda: receipts.for_charge(world, claims, now), lambda: release(world.pool, budget_id, outcome.key)
        )

    async def _unpaid(
        self, call: Call, principal: Principal | None, headers: Sorted, who: str, why: str, now: datetime
    ) -> Unpaid:
        """With an offer. Raises what `offered` raises."""
        offer = await offered(self._world, call.sats, self._resource, self._service, call.tool, who, now)
        if principal is None or b"accept-payment" in headers.wanted:
            return Unpaid(payment_required(self._world, offer, why, now), why)
        result = counter(self._world, call.sats).tool_result(offer, why, now)
        body = {"jsonrpc": "2.0", "id": call.message.get("id"), "result": result}
        return Unpaid(JSONResponse(body, 200, {"Cache-Control": "no-store"}), why)

    def _guest(self, payment: str, now: datetime) -> Principal:
        """Whoever paid for this one call, and may do no more than that."""
        seconds, name = int(now.timestamp()), f"paid:{payment}"
        return Principal(
            subject=name,
            client_id=NO_PROJECT,
            scope=self._guests_hold,
            via="payment",
            issued_at=seconds,
            expires_at=seconds + int(MINUTE.total_seconds()),
            handles=(name,),
            token_id=name,
            connection_id=None,
            revocable_since=seconds,
        )

    def _claims(self, call: Call, principal: Principal | None) -> dict[str, Any]:
        assert principal is not None
        return {"sub": principal.subject, "resource": self._resource, "tool": call.tool, "sats": call.sats}


def payment_required(world: World, offer: Offer, why: str, now: datetime) -> Response:
    """402 in three dialects."""
    at = counter(world, offer.sats)
    body = {**at.problem(offer, why), "request_id": request_id.get()}
    response = JSONResponse(body, 402, media_type="application/problem+json")
    for name, value in at.headers(offer, token_id(), why, now):
        response.headers.append(name, value)
    return response


def _refuse(call: Call, denied: Denied) -> None:
    """Raises Unpaid where another payment would not help."""
    if denied.reason == KEY_REUSED:
        raise _conflict(call, "this Idempotency-Key came with another call before")
    if denied.reason == RATE_LIMITED:
        wait = denied.retry_after or 60
        response = _error(call, TOO_OFTEN, f"too many calls this minute; wait {wait} seconds", 429)
        response.headers["Retry-After"] = str(wait)
        raise Unpaid(response, "too many calls this minute")


def _conflict(call: Call, why: str) -> Unpaid:
    return Unpaid(_error(call, CONFLICT, why, 409), why)


def _error(call: Call, code: int, message: str, status: int) -> Response:
    error = {"code": code, "message": message, "data": {"request_id": request_id.get()}}
    return JSONResponse({"jsonrpc": "2.0", "id": call.message.get("id"), "error": error}, status)


def _only(values: list[bytes] | None) -> str:
    """Two headers of a kind are none: nobody can say which was meant."""
    return values[0].decode("latin-1").strip() if values and len(values) == 1 else ""


async def _nothing() -> None:
    """What is settled on a chain cannot be given back."""

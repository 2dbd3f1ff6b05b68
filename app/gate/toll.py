"""Calls that cost sats: paid with the call itself in any of the three dialects, or charged to the caller's budget; else the
caller is told how to pay, in a form that HTTP clients (402) or MCP clients (a tool's result) can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json
from starlette.responses import JSONResponse, Response

from app.agents.sessions import NO_PROJECT
from app.gate.headers import Sorted
from app.gate.passage import Passage, by_budget, by_coins, by_proof
from app.gate.refusals import TOO_OFTEN, TurnedBack, error
from app.gate.rules import Ruled
from app.metering.budgets import budget_of
from app.metering.charging import charge, request_hash, reserve
from app.metering.model import KEY_REUSED, MOST_KEY, NO_BUDGET, RATE_LIMITED, Denied
from app.metering.till import Till
from app.protocol import mpp, x402
from app.protocol.errors import NoToken
from app.protocol.offer import NoPayment, Offer, Proof
from app.protocol.types import Principal
from app.resources.model import Resource
from app.selling import facilitator
from app.selling.offers import counter, offered, subject_of, token_id
from app.selling.taking import take_call
from app.tokens.secrets import new_id
from app.web.http import request_id
from app.world import World

IN_META = (mpp.CREDENTIAL, x402.PAYMENT)
UNPAID, CONFLICT = -32007, -32009  # beside what refusals.py has
PAY_FIRST = "payment is needed first"
MINUTE = timedelta(minutes=1)


class Unpaid(TurnedBack):
    """For want of a payment, or since another would not help."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is called, and what that costs, at most if it is `metered`; `meta` is what came beside the arguments, with the payment in it."""

    tool: str
    sats: int
    metered: bool
    needs: frozenset[str]
    params: Mapping[str, Any]
    meta: Mapping[str, Any]
    identifier: object


class Toll:
    """In front of one resource; its name is that of the service in macaroons."""

    def __init__(self, world: World, resource: Resource, guests_hold: frozenset[str]) -> None:
        """`guests_hold` is the scope of who pays and has no account."""
        self._world = world
        self._till = Till(world.pool)
        self._resource = resource.audience
        self._service = resource.name
        self._guests_hold = guests_hold
        rules = (*resource.rules.tools.values(), resource.rules.others)
        self.takes_guests = bool(guests_hold) and any(rule.price for rule in rules)

    async def passage(
        self, ruled: Ruled, principal: Principal | None, headers: Sorted, who: str
    ) -> tuple[Ruled, Passage]:
        """For this caller, or for a guest; and the call as it goes on, without its payment. `who` is whose offers are counted.
        Raises Unpaid, NoToken where guests may not call this, and the words for payments that cannot be read or looked up."""
        call, ruled = _call(ruled)
        return ruled, await self._passed(call, principal, headers, who)

    async def _passed(self, call: Call, principal: Principal | None, headers: Sorted, who: str) -> Passage:
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
            subject = subject_of(self._resource, call.tool)
            settled = await facilitator.settle(world, given, call.sats, subject)
            async with world.db.begin() as db:
                taken = await facilitator.take(db, settled, by, now)
            if not taken:
                raise NoPayment("the payment was used before")
            payer = principal or self._guest(settled.transaction, now)
            return by_coins(world, payer, settled, by, self._claims(call, payer), now)
        bought = await take_call(world, given, self._resource, self._service, call.tool, by, now)
        payer = principal or self._guest(bought.payment_hash, now)
        return by_proof(world, payer, given, bought, by, self._claims(call, payer), now)

    async def _charged(self, call: Call, principal: Principal, key: str, now: datetime) -> Passage | None:
        """None when there is too little in the budget, or none. Raises Unpaid where paying would not help."""
        budget_id = budget_of(principal)
        if budget_id is None:
            return None
        key = f"call:{key}"[:MOST_KEY] if key else new_id("call")
        request = request_hash(call.tool, call.params.get("arguments"), call.sats)
        take = reserve if call.metered else charge
        outcome = await take(self._till, budget_id, call.sats, key, request, now, tool=call.tool)
        if isinstance(outcome, Denied):
            if outcome.reason != NO_BUDGET:
                self._world.tally.deny(budget_id, call.tool, outcome.reason, now)
            _refuse(call, outcome)
            return None
        if outcome.replayed:
            raise _conflict(call, "this Idempotency-Key has had its call, which was charged")
        return by_budget(self._world, principal, outcome, self._claims(call, principal), now)

    async def _unpaid(
        self, call: Call, principal: Principal | None, headers: Sorted, who: str, why: str, now: datetime
    ) -> Unpaid:
        """With an offer, where there is somewhere to pay to. Raises what `offered` raises."""
        if self._world.lightning is None:
            why = f"this call costs {call.sats} sats of a budget, and this server takes none from you"
            return Unpaid(error(call.identifier, UNPAID, why, 402), why)
        offer = await offered(self._world, call.sats, self._resource, self._service, call.tool, who, now)
        if principal is None or b"accept-payment" in headers.wanted:
            return Unpaid(payment_required(self._world, offer, why, now), why)
        result = counter(self._world, call.sats).tool_result(offer, why, now)
        body = {"jsonrpc": "2.0", "id": call.identifier, "result": result}
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
            resource=self._resource,
        )

    def _claims(self, call: Call, payer: Principal) -> dict[str, Any]:
        return {"sub": payer.subject, "resource": self._resource, "tool": call.tool, "sats": call.sats}


def _call(ruled: Ruled) -> tuple[Call, Ruled]:
    """What is to be paid for, and the message as it goes on: without the payment."""
    message, tool = ruled.message, ruled.tool
    assert tool is not None  # only tools have a price
    params = message["params"]
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        meta = {}
    elif any(key in meta for key in IN_META):
        params = params | {"_meta": {key: value for key, value in meta.items() if key not in IN_META}}
        message = message | {"params": params}
        ruled = ruled._replace(message=message, body=to_json(message))
    return Call(tool, ruled.rule.price, ruled.rule.metered, ruled.rule.needs, params, meta, message.get("id")), ruled


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
        response = error(call.identifier, TOO_OFTEN, f"too many calls this minute; wait {wait} seconds", 429)
        response.headers["Retry-After"] = str(wait)
        raise Unpaid(response, "too many calls this minute")


def _conflict(call: Call, why: str) -> Unpaid:
    return Unpaid(error(call.identifier, CONFLICT, why, 409), why)


def _only(values: list[bytes] | None) -> str:
    """Two headers of a kind are none: nobody can say which was meant."""
    return values[0].decode("latin-1").strip() if values and len(values) == 1 else ""

"""grant_type=urn:gatehouse:grant-type:payment: sats for a token with as large a budget, for callers without an account (RFC 6749 §4.5).

Without a payment the answer is a 402 with an invoice; every client that pays 402s comes back by itself, with the same form and the
payment in a header. The payment then stands for its session: shown again it gives another token for the same budget, never another budget.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.requests import Request

from app import asking
from app.agents.sessions import NO_PROJECT, PAID_LIFE, authorization, begin
from app.agents.store import Session
from app.payments.quotes import claim
from app.protocol.client_metadata import PAYMENT
from app.protocol.errors import InvalidRequest, InvalidScope, OAuthError
from app.protocol.l402 import capability
from app.protocol.offer import NoPayment, Offer, Proof
from app.protocol.params import Params
from app.protocol.paying import SCHEMES
from app.protocol.scope import within
from app.protocol.types import Authorization, Client
from app.protocol.x402 import PAID_HEADER, Chosen
from app.resources.model import Resource
from app.selling import facilitator, store
from app.selling.offers import MOST_SATS, counter, offered, subject_of, token_id
from app.selling.taking import checked
from app.world import World

BUYER = Client(NO_PROJECT, "somebody who pays", (), frozenset({PAYMENT}), "none", None, None)
PAY_FIRST = "payment is needed first"


class PaymentWanted(OAuthError):
    """402 with the challenges of all dialects (RFC 9110 §15.5.3)."""

    error, status = "payment_required", 402

    def __init__(self, why: str, challenges: list[tuple[str, str]], problem: dict[str, Any]) -> None:
        super().__init__(why)
        self._challenges, self._problem = challenges, problem

    @property
    def challenges(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self._challenges if name != "Cache-Control"]  # there already

    def document(self) -> dict[str, Any]:
        return self._problem


def with_payment(request: Request, params: Params) -> Params:
    """The form as it would be with the payment in it, where a client sent that in a header, as all that pay 402s do. Raises
    InvalidRequest for two payments."""
    found = request.headers.getlist(PAID_HEADER)
    sent = [f"x402 {value}" for value in found]
    sent += [value for value in request.headers.getlist("authorization") if value.split(" ")[0].lower() in SCHEMES]
    sent += params.all("payment")
    if len(sent) > 1:
        raise InvalidRequest("one payment at a time: several were sent")
    return params if not sent else params.having("payment", sent[0])


async def redeem(world: World, client: Client, params: Params, jkt: str | None, now: datetime) -> Authorization:
    """The session's authorization. Raises PaymentWanted, BadPayment, InvalidScope, InvalidTarget, TemporarilyUnavailable."""
    resource = world.resources.resolve(params.all("resource"))
    held = world.resources.held(resource, world.settings.paid_scope)
    scope = within(params.get("scope"), frozenset(held), resource.scopes)
    if not scope:
        raise InvalidScope("scope names nothing that is sold here")
    payment, sats = params.get("payment"), _sats(params)
    try:
        if payment is None:
            raise NoPayment(PAY_FIRST)
        scheme, _, credentials = payment.partition(" ")
        given = counter(world, sats or 1).credential(scheme, credentials.strip())
        if isinstance(given, Chosen):
            session = await _settled(world, given, sats, resource, scope, jkt, now)
        else:
            session = await _paid(world, given, resource, scope, jkt, now)
    except NoPayment as fault:
        raise await _wanted(world, sats, resource, fault.description, now) from fault
    return replace(
        authorization(session, world), scope=tuple(word for word in scope if word in session.scope) or session.scope
    )


async def _wanted(world: World, sats: int | None, resource: Resource, why: str, now: datetime) -> OAuthError:
    if sats is None:
        return InvalidRequest("{why}; say how many sats the token shall be worth, in sats", why=why)
    offer: Offer = await offered(world, sats, resource.audience, resource.name, None, asking.address() or "nobody", now)
    at = counter(world, sats)
    return PaymentWanted(why, at.headers(offer, token_id(), why, now), at.problem(offer, why))


async def _paid(
    world: World, proof: Proof, resource: Resource, scope: tuple[str, ...], jkt: str | None, now: datetime
) -> Session:
    """Also for what was meant for one call and has not been used. Raises NoPayment, TemporarilyUnavailable."""
    found = await checked(world, proof, resource.name, now)
    where, _, tool = found.subject.partition(" ")
    if where != resource.audience:
        raise NoPayment("the payment is for another resource")
    if proof.tools is not None and proof.tools != {capability(tool or None)}:
        raise NoPayment("the macaroon was narrowed, and buys no token")
    if found.claimed_by is None:
        session = _session(scope, resource, jkt, now)
        if await _began(world, session, found.sats, found.payment_hash, found.purpose, found.subject, now):
            return session
    again = await store.session_of(world.pool, found.payment_hash, now)
    if again is None or not proof.is_ours:
        raise NoPayment("the payment was used before")
    if again.jkt not in (None, jkt):
        raise NoPayment("the payment's tokens are bound to a key; send a DPoP proof of that key")
    return again


async def _began(
    world: World, session: Session, sats: int, payment_hash: str, purpose: str, subject: str, now: datetime
) -> bool:
    """The claim and what it buys, together or not at all."""
    async with world.db.begin() as db:
        taken = await claim(db, payment_hash, f"session {session.id}", now, purpose=purpose, subject=subject)
        return taken is not None and await begin(
            db,
            session,
            now,
            allowance_sats=0,
            funded_sats=sats,
            max_calls_per_minute=None,
            payment_hash=payment_hash,
        )


async def _settled(
    world: World,
    given: Chosen,
    sats: int | None,
    resource: Resource,
    scope: tuple[str, ...],
    jkt: str | None,
    now: datetime,
) -> Session:
    """Raises NoPayment, TemporarilyUnavailable, InvalidRequest."""
    if sats is None:
        raise InvalidRequest("sats is missing")
    settled = await facilitator.settle(world, given, sats, subject_of(resource.audience, None))
    session = _session(scope, resource, jkt, now)
    async with world.db.begin() as db:
        taken = await facilitator.take(db, settled, f"session {session.id}", now)
        if taken:
            await begin(db, session, now, allowance_sats=0, funded_sats=sats, max_calls_per_minute=None)
    if not taken:
        raise NoPayment("the payment was used before")
    return session


def _session(scope: tuple[str, ...], resource: Resource, jkt: str | None, now: datetime) -> Session:
    return Session(str(uuid.uuid4()), None, "paid", scope, resource.audience, jkt, now, now + PAID_LIFE)


def _sats(params: Params) -> int | None:
    text = params.get("sats")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= MOST_SATS):
        raise InvalidRequest("sats must be a whole number from 1 to {most}", most=MOST_SATS)
    return int(text)

"""POST /api/public/demo/start and confirm: three sats for a short session, to see how it goes, and never a token unpaid.

With the pretend node anybody may pay without paying, at /api/public/demo/pay; elsewhere that address does not exist.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.agents import asked
from app.agents.sessions import begin, jwt_of
from app.agents.start import INVOICES
from app.agents.store import Session
from app.lightning.bolt11 import BadInvoice, decode
from app.payments import quotes
from app.payments.model import DEMO, Quote
from app.protocol.agent_errors import UnknownQuote
from app.protocol.errors import InvalidRequest, NotFound
from app.web.http import no_store
from app.work import brought
from app.world import World

SATS = 3  # the seed's
LIFE = timedelta(hours=1)
CALLS_PER_MINUTE = 10


async def start(request: Request, world: World) -> Response:
    quote = await offer(request, world)
    return no_store(
        {
            "sessionId": quote.id,
            "invoice": quote.bolt11,
            "amountSats": quote.sats,
            "expiresAtUnix": int(quote.expires_at.timestamp()),
            "mode": "DEMO",
        }
    )


async def offer(request: Request, world: World) -> Quote:
    """An invoice. Raises RateLimitExceeded, LightningOff and its kin."""
    now = world.now()
    await asked.limited(request, world, INVOICES, now)
    return await quotes.quote(world, SATS, DEMO, DEMO, now, memo="Gatehouse demo")


async def confirm(request: Request, world: World) -> Response:
    """`{"verified": false, "token": null}` until the node says that it was paid."""
    body = await asked.fields(request, world)
    quote = await known(world, body.get("sessionId"))
    if quote is None:
        raise UnknownQuote("there is no demo of this sessionId")
    token = await redeemed(world, quote, world.now())
    return no_store({"verified": token is not None, "token": token})


async def known(world: World, quote_id: object) -> Quote | None:
    """Raises InvalidRequest for what is no id."""
    quote = await quotes.by_id(world, brought.quote_id(quote_id))
    return quote if quote is not None and quote.purpose == DEMO else None


async def redeemed(world: World, quote: Quote, now: datetime) -> str | None:
    """The token, for the first who asks when it is paid."""
    if not await quotes.settled(world, quote.payment_hash, now):
        return None
    resource = world.resources.default
    scope = tuple(sorted(resource.rules.baseline))
    session = Session(quote.id, None, "paid", scope, resource.audience, None, now, now + LIFE)
    async with world.db.begin() as db:
        claimed = await quotes.claim(db, quote.payment_hash, f"session {quote.id}", now, purpose=DEMO)
        if claimed is not None:
            limits = {"allowance_sats": 0, "funded_sats": SATS, "max_calls_per_minute": CALLS_PER_MINUTE}
            await begin(db, session, now, **limits, payment_hash=quote.payment_hash)
    return jwt_of(session, world, now)[0] if claimed else None


async def pay(request: Request, world: World) -> Response:
    """`{"invoice"}` → `{"preimage"}`, as a wallet would."""
    from app.lightning.pretend import Pretend  # memory: most servers never pretend

    body = await asked.fields(request, world)
    if not isinstance(world.lightning, Pretend):
        raise NotFound("nothing is served at this address")
    try:
        found = decode(brought.words(body, "invoice", 4096) or "")
    except BadInvoice as fault:
        raise InvalidRequest(str(fault)) from None
    preimage = await world.lightning.pay(found.payment_hash)
    if preimage is None:
        raise InvalidRequest("the invoice has expired, or is not of this node")
    return no_store({"preimage": preimage.hex()})

"""POST /api/mcp/start: a challenge of work, which costs no row, or an invoice; GET status and lnurl of what was started."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.agents import asked, store
from app.agents.store import Project
from app.limits import Rate
from app.payments import quotes
from app.payments.model import SESSION, Quote
from app.protocol.agent_errors import UnknownQuote
from app.protocol.errors import InvalidRequest
from app.web.http import Endpoint, client_address, no_store
from app.work import brought
from app.work.challenge import Wanted, expiry_of, new_challenge
from app.work.pressure import Pressure
from app.world import World

INVOICES = Rate("agent-invoice", 20, timedelta(minutes=1))  # from one address: each is work for the node


def wanted(public_key: str, bound: str, world: World) -> Wanted:
    """What a challenge of a session is for."""
    return Wanted("session", world.resources.default.audience, public_key, bound)


def starting(pressure: Pressure) -> Endpoint:
    """`pressure` counts what this process gives out."""

    async def start(request: Request, world: World) -> Response:
        now = world.now()
        project = await asked.project(request, world)
        body = await asked.fields(request, world)
        bound = await asked.promised(request, body, world, now)
        by_lightning = body.get("forceLightning", False)
        if not isinstance(by_lightning, bool):
            raise InvalidRequest("forceLightning must be true or false")
        if by_lightning:
            return await _invoice(request, project, bound, world, now)
        address = client_address(request, world.settings.trusted_proxies)
        bits = pressure.bits(project.id, address, project.bits_floor, project.bits_ceiling, now)
        challenge = new_challenge(wanted(project.public_key, bound, world), bits, world.secrets.work, now)
        document = challenge.document(project.id, project.public_key)
        return no_store({"quoteId": challenge.quote_id, "powChallenge": document, "invoice": None})

    return start


async def _invoice(request: Request, project: Project, bound: str, world: World, now: datetime) -> Response:
    await asked.limited(request, world, INVOICES, now)
    memo = f"{project.name}: {project.session_sats} sats of calls"
    quote = await quotes.quote(
        world, project.session_sats, SESSION, project.id, now, memo=memo, commitment=bound or None
    )
    return no_store({"quoteId": quote.id, "powChallenge": None, "invoice": shown(quote)})


def shown(quote: Quote) -> dict[str, object]:
    """The seed's `invoice`."""
    return {
        "bolt11": quote.bolt11,
        "amountSats": quote.sats,
        "expiresAtUnix": int(quote.expires_at.timestamp()),
        "paymentHash": quote.payment_hash,
    }


async def of_project(quote_id: str, project: Project, world: World) -> Quote | None:
    """None when it is another's, or no invoice's."""
    quote = await quotes.by_id(world, quote_id)
    return quote if quote and (quote.purpose, quote.subject) == (SESSION, project.id) else None


async def status(request: Request, world: World) -> Response:
    """GET /api/mcp/status/{quoteId}. The node is asked at most once a second, however often this is polled."""
    now, project = world.now(), await asked.project(request, world)
    quote_id = brought.quote_id(request.path_params["quote_id"])
    quote = await of_project(quote_id, project, world)
    session = await store.session_of(world.pool, quote_id)
    if session is not None and session.project_id == project.id:
        paid = "paid" if quote else None
        return _status(quote_id, "confirmed", paid, session.expires_at)
    if quote is not None:
        paid = "paid" if await quotes.settled(world, quote.payment_hash, now) else "pending"
        is_over = paid == "pending" and now >= quote.expires_at
        return _status(quote_id, "expired" if is_over else "pending", paid, quote.expires_at)
    ends = expiry_of(quote_id, project.public_key, world.secrets.work)
    if ends is None:
        raise UnknownQuote("this project has no quote of this id")
    expires_at = datetime.fromtimestamp(ends, UTC)
    return _status(quote_id, "expired" if expires_at <= now else "pending", None, expires_at)


def _status(quote_id: str, state: str, payment: str | None, expires_at: datetime) -> Response:
    return no_store(
        {"quoteId": quote_id, "status": state, "paymentStatus": payment, "expiresAt": asked.moment(expires_at)}
    )


async def lnurl(request: Request, world: World) -> Response:
    """GET /api/mcp/lnurl/{quoteId}: the invoice as LNURL-pay hands it out (LUD-06)."""
    project = await asked.project(request, world)
    quote = await of_project(brought.quote_id(request.path_params["quote_id"]), project, world)
    if quote is None:
        raise UnknownQuote("this quote has no invoice; start with forceLightning: true")
    return no_store({"pr": quote.bolt11, "routes": []})

"""POST /api/mcp/confirm: a solved challenge, or a paid invoice, becomes a session and its first token, once."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.agents import asked, store
from app.agents.sessions import PAID_LIFE, WORK_LIFE, begin, jwt_of, refresh_token
from app.agents.start import of_project, wanted
from app.agents.store import Project, Session
from app.metering.budgets import usage
from app.payments import quotes
from app.payments.model import SESSION, Quote
from app.protocol.agent_errors import InvalidWork, QuoteClaimed, UnknownQuote
from app.traces.recording import note
from app.web import dpop
from app.web.http import no_store
from app.work import brought
from app.work.challenge import Solution, check
from app.world import World


async def confirm(request: Request, world: World) -> Response:
    """With `challengeHex` it is work, without it a payment."""
    now = world.now()
    key, body = asked.public_key(request), await asked.fields(request, world)
    quote_id = brought.quote_id(body.get("quoteId"))
    jkt = await dpop.key_of(request, world, now)
    bound = asked.redeemer(body, jkt)
    if body.get("challengeHex") is not None:
        return await _by_work(key, brought.solution(body, quote_id), bound, jkt, world, now)
    project = await asked.project(request, world)
    quote = await of_project(quote_id, project, world)
    if quote is None:
        raise UnknownQuote(
            "this project has no such invoice; for work, send challengeHex, nonce and the rest of the challenge"
        )
    if not await quotes.settled(world, quote.payment_hash, now):
        return no_store({"jwt": None, "expiresIn": 0, "remainingBudgetSats": 0, "paymentStatus": "pending"})
    preimage = brought.words(body, "preimage")
    return await _by_payment(project, quote, bound, preimage, jkt, world, now)


async def _by_work(key: str, solution: Solution, bound: str, jkt: str | None, world: World, now: datetime) -> Response:
    """One statement: whoever stores the quote first has used it, and gets the only session it can become."""
    _check_bound(key, solution, bound, world, now)
    name = solution.challenge.quote_id
    resource = world.resources.default.audience
    made = await store.solved(world.pool, name, key, now, now + WORK_LIFE, jkt, resource)
    if made is None:
        raise InvalidWork("the challenge was used before, or its project was revoked; start again")
    session, allowance = made
    return _answer(session, allowance, None, world, now)


def _check_bound(key: str, solution: Solution, bound: str, world: World, now: datetime) -> None:
    """A key may be shown although none was promised: then the token is bound to it all the same."""
    try:
        check(solution, wanted(key, bound, world), world.secrets.work, now)
    except InvalidWork:
        if not bound:
            raise
        check(solution, wanted(key, "", world), world.secrets.work, now)


async def _by_payment(
    project: Project, quote: Quote, bound: str, preimage: str | None, jkt: str | None, world: World, now: datetime
) -> Response:
    session = Session(
        quote.id, project.id, "lightning", project.scope, world.resources.default.audience, jkt, now, now + PAID_LIFE
    )
    async with world.db.begin() as db:
        claimed = await quotes.claim(
            db,
            quote.payment_hash,
            f"session {session.id}",
            now,
            purpose=SESSION,
            subject=project.id,
            preimage=preimage,
            commitment=bound or None,
        )
        if claimed is not None:
            most = project.max_calls_per_minute
            limits = {"allowance_sats": 0, "funded_sats": quote.sats, "max_calls_per_minute": most}
            await begin(db, session, now, **limits, payment_hash=quote.payment_hash)
    if claimed is not None:
        return _answer(session, quote.sats, "paid", world, now)
    return await _again(quote, bound, preimage, jkt, world, now)


async def _again(
    quote: Quote, bound: str, preimage: str | None, jkt: str | None, world: World, now: datetime
) -> Response:
    """Whoever shows the preimage has paid, and gets the session that it bought once more: the answer may have been lost.
    Raises QuoteClaimed."""
    session = await store.session_of(world.pool, quote.id)
    budget = await usage(world.pool, quote.id, now)
    is_payer = preimage is not None and quotes.fits(preimage, quote.payment_hash)
    if session is None or budget is None or not is_payer or (quote.commitment or bound) != bound or session.jkt != jkt:
        raise QuoteClaimed(
            "this payment has been redeemed, or by codeVerifier or DPoP key it is somebody else's to redeem"
        )
    if not budget.is_live(now) or session.expires_at <= now:
        raise QuoteClaimed("the session that this payment bought is over")
    return _answer(session, budget.remaining_sats, "paid", world, now)


def _answer(session: Session, sats: int, paid: str | None, world: World, now: datetime) -> Response:
    note(client_id=session.project_id, grant_type=f"mcp_{session.kind}")
    jwt, seconds = jwt_of(session, world, now)
    answer: dict[str, object] = {"jwt": jwt, "expiresIn": seconds, "remainingBudgetSats": sats}
    if paid is not None:
        answer["paymentStatus"] = paid
    return no_store({**answer, "refreshToken": refresh_token(session, world)})

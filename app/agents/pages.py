"""/work and /pay: what an agent does by itself, for people at a browser: proof of work solved there, and an invoice to pay."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.agents import asked, demo
from app.agents.demo import SATS
from app.agents.store import Project, project_of
from app.language.catalogs import N_, _
from app.payments.model import Quote
from app.protocol.errors import NotFound
from app.protocol.params import parse
from app.web.http import form, see_other
from app.web.pages import CSP, render
from app.world import World

HERE = "/pay"
SCRIPTS = f"{CSP}; script-src 'self'; connect-src 'self'; worker-src 'self'"
UNKNOWN = N_("This key is of no project here, or its project is paused.")


async def work(request: Request, world: World) -> Response:
    """With `key` for a session of that project; without it for any challenge that somebody was answered with."""
    key = parse(request.scope["query_string"]).get("key")
    project = await _project(key, world) if key else None
    tries = None if project is None else f"{2**project.bits_floor:,}"
    error = _(UNKNOWN) if key and project is None else None
    return _page("work.html", world, status=404 if error else 200, project=project, tries=tries, error=error)


async def _project(key: str, world: World) -> Project | None:
    found = await project_of(world.pool, key) if asked.KEY.fullmatch(key) else None
    return found if found and found.revoked_at is None and found.paused_at is None else None


async def pay(request: Request, world: World) -> Response:
    """Without `quote` the way to an invoice, with it the invoice."""
    params = parse(request.scope["query_string"])
    quote_id = params.get("quote")
    if quote_id is None:
        return _pay(world, None, "none")
    quote = await _known(world, quote_id)
    return _pay(world, quote, _state(quote, world.now()), looked=params.get("looked") == "yes")


async def offer(request: Request, world: World) -> Response:
    quote = await demo.offer(request, world)
    return see_other(f"{HERE}?quote={quote.id}")


async def look(request: Request, world: World) -> Response:
    """The token, if it is paid and nobody has it yet."""
    quote = await _known(world, (await form(request, world)).get("quote"))
    token = await demo.redeemed(world, quote, world.now())
    if token is None:
        return see_other(f"{HERE}?quote={quote.id}&looked=yes")
    return _pay(world, quote, "given", token=token)


async def pretend(request: Request, world: World) -> Response:
    """As a wallet would, where there is no money to move."""
    from app.lightning.pretend import Pretend  # memory: most servers never pretend

    quote = await _known(world, (await form(request, world)).get("quote"))
    if not isinstance(world.lightning, Pretend):
        raise NotFound("nothing is served at this address")
    await world.lightning.pay(quote.payment_hash)
    return see_other(f"{HERE}?quote={quote.id}&looked=yes")


async def _known(world: World, quote_id: str | None) -> Quote:
    """Raises InvalidRequest, NotFound."""
    quote = await demo.known(world, quote_id)
    if quote is None:
        raise NotFound(N_("there is no such invoice"))
    return quote


def _pretends(world: World) -> bool:
    url = world.settings.lightning_url
    return url is not None and url.get_secret_value().startswith("pretend:")


def _state(quote: Quote, now: datetime) -> str:
    if quote.claimed_at is not None:
        return "used"
    return "over" if quote.settled_at is None and quote.expires_at <= now else "open"


def _pay(world: World, quote: Quote | None, state: str, *, token: str = "", looked: bool = False) -> Response:
    return _page(
        "pay.html",
        world,
        quote=quote,
        state=state,
        sats=quote.sats if quote else SATS,
        picture=picture(quote.bolt11) if quote and state == "open" else None,
        ends=int(quote.expires_at.timestamp()) if quote else 0,
        until=f"{quote.expires_at:%H:%M}" if quote else None,
        value=token,
        looked=looked,
        lightning=world.lightning is not None,
        pretend=_pretends(world),
    )


@lru_cache(64)
def picture(bolt11: str) -> str:
    """A QR code as a data: URL of an SVG; in capitals, which take less room in one (BOLT 11)."""
    import segno  # 4 MiB that only this page and one other need

    code = segno.make(f"LIGHTNING:{bolt11.upper()}", error="l", micro=False)
    return code.svg_data_uri(border=4, dark="#000", light="#fff", omitsize=True)


def _page(template: str, world: World, *, status: int = 200, **context: Any) -> Response:
    context.setdefault("error", None)
    response = render(template, status=status, mcp_url=world.resources.default.audience, **context)
    response.headers["Content-Security-Policy"] = SCRIPTS
    return response

"""/receipt: what a signed receipt says, and whether it is one of ours (RFC 7515); for whoever was shown one."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from app.http import form, json_refusal, no_store
from app.language import _
from app.pages import render
from app.protocol.errors import InvalidRequest, InvalidToken
from app.tokens.verify import receipt_claims
from app.world import World


async def show(request: Request, world: World) -> Response:
    return _page(world, "")


async def check(request: Request, world: World) -> Response:
    """Nothing is kept of it."""
    text = ((await form(request, world)).get("receipt") or "").strip()
    try:
        claims = receipt_claims(text, world.live.ring, world.settings.issuer, world.now())
    except InvalidToken as refusal:
        if "application/json" in request.headers.get("accept", ""):
            return json_refusal(InvalidRequest(refusal.template), request, world)
        return _page(world, text, error=_(refusal.description))
    if "application/json" in request.headers.get("accept", ""):
        return no_store(claims)
    return _page(world, text, claims=claims)


def _page(world: World, text: str, *, claims: dict[str, object] | None = None, error: str | None = None) -> Response:
    at = (claims or {}).get("chargedAt", (claims or {}).get("iat"))
    return render(
        "receipt.html",
        status=400 if error else 200,
        issuer=world.settings.issuer,
        text=text[:4096],
        claims=claims,
        at=f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" if isinstance(at, int) else None,
        error=error,
    )

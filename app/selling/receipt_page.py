"""/receipt: what a signed receipt says, and whether it is one of ours (RFC 7515); for whoever was shown one."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from app.protocol.errors import InvalidRequest, InvalidToken, OAuthError
from app.tokens.verify import receipt_claims
from app.web.http import form, json_refusal, no_store
from app.web.pages import page_refusal, render, sentence
from app.world import World


async def show(request: Request, world: World) -> Response:
    return _page(world, "")


async def check(request: Request, world: World) -> Response:
    """Nothing is kept of it. White space is left out, which mail and editors put in, and a file has at its end."""
    pasted = (await form(request, world)).verbatim("receipt") or ""
    text = "".join(character for character in pasted if character.isprintable() and character != " ")
    try:
        claims = receipt_claims(text, world.live.ring, world.settings.issuer, world.now())
    except InvalidToken as refusal:
        if _by_program(request):
            return json_refusal(InvalidRequest(refusal.template), request, world)
        return _page(world, text, error=sentence(refusal))
    if _by_program(request):
        return no_store(claims)
    return _page(world, text, claims=claims)


def refused(refusal: OAuthError, request: Request, world: World) -> Response:
    """The renderer of refusals here."""
    return (json_refusal if _by_program(request) else page_refusal)(refusal, request, world)


def _by_program(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


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

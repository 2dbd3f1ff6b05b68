"""A new secret on its way to the page that shows it once: sealed into a cookie, so that a form is answered with 303 like any other."""

from __future__ import annotations

import json
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.protocol.types import Viewer
from app.tokens.secrets import Unsealable, b64, unb64
from app.web import sessions
from app.world import World

SECONDS = 120


def keep(response: Response, world: World, viewer: Viewer, words: dict[str, str], now: datetime) -> None:
    """What the next page is to show. Only this session can open it, for SECONDS."""
    plain = json.dumps([int(now.timestamp()), words]).encode()
    sealed = b64(world.secrets.pending.seal(plain, _context(viewer)))
    response.set_cookie(
        _name(world), sealed, SECONDS, path="/", secure=world.settings.is_https, httponly=True, samesite="strict"
    )


def take(request: Request, world: World, viewer: Viewer, now: datetime) -> dict[str, str] | None:
    """What was kept, if anything; see `forget`."""
    try:
        kept = world.secrets.pending.open(unb64(request.cookies.get(_name(world), "")), _context(viewer))
    except (Unsealable, ValueError):
        return None
    at, words = json.loads(kept)
    return words if now.timestamp() - at <= SECONDS else None


def forget(response: Response, world: World) -> None:
    """With the page that shows it, it is gone."""
    response.delete_cookie(_name(world), path="/", secure=world.settings.is_https, httponly=True, samesite="strict")


def _name(world: World) -> str:
    return f"{sessions.cookie_name(world.settings)}-once"


def _context(viewer: Viewer) -> bytes:
    return b"shown once " + viewer.session_id.encode()

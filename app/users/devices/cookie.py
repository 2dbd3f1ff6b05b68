"""The cookie by which a browser is known again after signing out; a new secret at each sign-in (OWASP "device cookies")."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.settings.read import Settings
from app.tokens.secrets import fingerprint, new_secret
from app.users.devices.store import KNOWN_FOR
from app.web import sessions
from app.world import World

PREFIX = "gh_device_"


def cookie_name(settings: Settings) -> str:
    return f"{sessions.cookie_name(settings)}-device"


def device(request: Request, world: World) -> bytes | None:
    """The fingerprint of what this browser brings, known to us or not."""
    secret = request.cookies.get(cookie_name(world.settings), "")
    return fingerprint(secret) if secret.startswith(PREFIX) and len(secret) < 100 else None


def new_device() -> str:
    return new_secret(PREFIX)


def set_device(response: Response, world: World, secret: str) -> None:
    response.set_cookie(
        cookie_name(world.settings),
        secret,
        max_age=int(KNOWN_FOR.total_seconds()),
        path="/",
        secure=world.settings.is_https,
        httponly=True,
        samesite="lax",
    )

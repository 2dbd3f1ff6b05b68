"""Browser sessions: a random cookie, its fingerprint in Postgres, and form tokens bound to it (RFC 6265bis, OWASP session rules)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app import asking, audit
from app.language.catalogs import N_, _, speak
from app.protocol.errors import AccessDenied
from app.protocol.next_step import is_recent as is_recent
from app.protocol.params import Params
from app.protocol.types import Viewer
from app.settings.read import Settings
from app.tokens.secrets import b64, fingerprint, new_id, new_secret
from app.traces.recording import note
from app.web.flow import after
from app.web.http import client_address
from app.world import World

PREFIX = "gh_session_"
STALE = N_("This form has gone stale")
TOUCH = timedelta(minutes=5)  # how exactly "last seen" is kept, where sessions do not end much sooner
VIEWER = """
SELECT s.id, s.user_id, s.authenticated_at, s.last_seen_at, u.email, u.name, u.is_admin, u.language
FROM browser_sessions s JOIN users u ON u.id = s.user_id
WHERE s.fingerprint = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND u.disabled_at IS NULL
"""
SEEN = "UPDATE browser_sessions SET last_seen_at = $2 WHERE fingerprint = $1"
START = text("""
INSERT INTO browser_sessions
  (fingerprint, id, user_id, created_at, authenticated_at, last_seen_at, expires_at, user_agent, address, method)
VALUES (:fingerprint, :id, :user_id, :now, :now, :now, :expires_at, :user_agent, :address, :method)
""")
END = text("DELETE FROM browser_sessions WHERE fingerprint = :fingerprint RETURNING user_id, id")


@dataclass(frozen=True, slots=True)
class Visit:
    """A signed-in person at one of our pages. `csrf` is for its forms."""

    request: Request
    world: World
    viewer: Viewer
    csrf: str
    now: datetime

    @property
    def is_recent(self) -> bool:
        return is_recent(self.viewer, self.now)


def cookie_name(settings: Settings) -> str:
    """`__Host-` wherever the browser allows it; on plain-http loopback the port, since cookies of all ports are one jar."""
    if settings.is_https:
        return "__Host-gatehouse"
    return f"gatehouse-{urlsplit(settings.public_url).port or 80}"


def cookie(request: Request, world: World) -> str | None:
    """The session secret, signed in or not yet."""
    value = request.cookies.get(cookie_name(world.settings), "")
    return value if value.startswith(PREFIX) and len(value) < 100 else None


def set_cookie(response: Response, world: World, secret: str) -> None:
    response.set_cookie(
        cookie_name(world.settings), secret, path="/", secure=world.settings.is_https, httponly=True, samesite="lax"
    )


def new_cookie() -> str:
    return new_secret(PREFIX)


async def viewer(request: Request, world: World, now: datetime) -> Viewer | None:
    """Who is signed in to this browser, if anybody."""
    secret = cookie(request, world)
    if secret is None:
        return None
    key = fingerprint(secret)
    idle = timedelta(seconds=world.settings.session_idle)
    row = await world.pool.fetchrow(VIEWER, key, now, now - idle)
    if row is None:
        return None
    if now - row["last_seen_at"] > min(TOUCH, idle / 5):
        await world.pool.execute(SEEN, key, now)
    note(user_id=row["user_id"])
    speak(row["language"])
    asking.acting(asking.USER, row["user_id"])
    return Viewer(row["user_id"], row["email"], row["name"], row["is_admin"], row["id"], row["authenticated_at"])


async def visit(request: Request, world: World) -> Visit | None:
    """None when nobody is signed in."""
    now = world.now()
    there, secret = await viewer(request, world, now), cookie(request, world)
    if there is None or secret is None:
        return None
    return Visit(request, world, there, form_token(secret, world), now)


async def start(
    db: AsyncConnection, request: Request, world: World, user_id: str, now: datetime, *, method: str = "link"
) -> str:
    """Signs the user in, in the caller's transaction, and returns the new secret: an old cookie is never promoted.

    `method` is what they proved who they are with, joined by `+`: password, link, passkey, totp, recovery, device.
    """
    await end(db, request, world)
    asking.acting(asking.USER, user_id)
    secret = new_cookie()
    await db.execute(
        START,
        {
            "fingerprint": fingerprint(secret),
            "id": new_id("ses"),
            "user_id": user_id,
            "now": now,
            "expires_at": now + timedelta(seconds=world.settings.session_absolute),
            "user_agent": request.headers.get("user-agent", "")[:300],
            "address": client_address(request, world.settings.trusted_proxies),
            "method": method,
        },
    )
    return secret


async def end(db: AsyncConnection, request: Request, world: World) -> None:
    secret = cookie(request, world)
    if secret is not None:
        row = (await db.execute(END, {"fingerprint": fingerprint(secret)})).one_or_none()
        if row is not None:
            asking.acting(asking.USER, row.user_id)
            await audit.record(db, "session.ended", world.now(), user_id=row.user_id, session=row.id)


def form_token(secret: str, world: World) -> str:
    """The hidden field of every form: a MAC of this browser's cookie."""
    return b64(world.secrets.forms.mac(secret.encode()))


def check_own_page(request: Request, world: World) -> None:
    """That a request which a session's cookie lets in was not sent by a page of another site, as far as browsers tell.
    Raises AccessDenied."""
    if request.headers.get("origin", world.settings.issuer) != world.settings.issuer:
        raise AccessDenied("the request was sent from another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise AccessDenied("the request was sent from another site")


def check_form(request: Request, world: World, fields: Params) -> str:
    """The cookie's secret, once the form is known to come from our own page in this very browser. Raises AccessDenied."""
    origin = request.headers.get("origin", "null")
    # Under `Referrer-Policy: no-referrer` browsers send `null` with our own forms; the token decides then.
    if origin not in ("null", world.settings.issuer) or request.headers.get("sec-fetch-site") == "cross-site":
        raise AccessDenied("the form was sent from another site")
    secret, token = cookie(request, world), fields.get("csrf")
    if secret is None or token is None or not hmac.compare_digest(token.encode(), form_token(secret, world).encode()):
        refusal = AccessDenied(
            "the form is too old, or cookies are switched off; go back, reload the page and try again"
        )
        refusal.heading = STALE
        if fields.get("req"):
            refusal.way_back = after(fields.get("req")), _("Try again")
        raise refusal
    return secret

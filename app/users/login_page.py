"""The sign-in page: for an app's request, for a page of ours, or to confirm that it is still you (OWASP re-authentication)."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.clients import store as clients
from app.protocol import redirect_uri as uris
from app.traces.recording import note
from app.users.offers import offers, services
from app.users.passkeys import options as passkeys
from app.web import sessions
from app.web.flow import brought, is_at_device, is_at_page, is_pending, opened
from app.web.pages import render
from app.world import World


async def login_page(
    request: Request,
    world: World,
    req: str | None,
    now: datetime,
    *,
    email: str | None = None,
    error: str | None = None,
    status: int = 200,
) -> Response:
    """`email` is what was typed. Whoever is signed in already is asked for the proof only."""
    viewer = await sessions.viewer(request, world, now) if req else None
    pending = opened(req, world, now) if is_pending(req) else None
    client = await clients.client(world.pool, pending.client_id) if pending else None
    note(client_name=client.client_name if client else None, link=brought(req))
    secret = sessions.cookie(request, world)
    fresh = secret or sessions.new_cookie()
    expected = (pending.login_hint if pending else None) or (viewer.email if viewer else None)
    again = viewer is not None and is_at_page(req)
    response = render(
        "login.html",
        status=status,
        script=True,
        csrf=sessions.form_token(fresh, world),
        req=req or "",
        email=email or expected or "",
        again=again,
        error=error,
        client_name=client.client_name if client else None,
        redirect_host=uris.shown_host(pending.redirect_uri) if pending else None,
        at_device=is_at_device(req),
        **offers(world),
        services=await services(world, now),
        passkey=await passkeys.to_sign_in(world, fresh, viewer.user_id if again and viewer else None, now)
        if world.settings.sign_in == "any"
        else None,
    )
    if secret is None:
        sessions.set_cookie(response, world, fresh)
    return response

"""GET and POST /consent: the user sees who asks, what for and where the answer goes, and decides (RFC 6749 §4.1.1, MCP "Consent")."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from app import audit, sessions
from app.clients import store as clients
from app.flow import opened, sealed, step
from app.http import form, see_other
from app.language import _
from app.oauth import store
from app.oauth.authorize import answer
from app.pages import render
from app.protocol import redirect_uri as uris
from app.protocol.client_document import host_of
from app.protocol.errors import AccessDenied, InvalidRequest
from app.protocol.next_step import AskConsent, next_step, within_reach
from app.protocol.params import parse
from app.protocol.pending import Pending
from app.protocol.scope import IDENTITY
from app.protocol.types import Viewer
from app.traces.recording import note
from app.world import World


async def show_consent(request: Request, world: World) -> Response:
    """The page, if it is this step's turn."""
    now = world.now()
    req = parse(request.scope["query_string"]).get("req")
    pending = opened(req, world, now)
    viewer = await sessions.viewer(request, world, now)
    pending = within_reach(pending, viewer)
    consent = await store.consent(world.pool, viewer.user_id, pending) if viewer else None
    secret = sessions.cookie(request, world)
    if viewer is None or secret is None or not isinstance(next_step(pending, viewer, consent, now), AskConsent):
        return see_other(step("/authorize/continue", req or ""))
    client = await clients.client(world.pool, pending.client_id)
    if client is None or client.blocked:
        raise InvalidRequest("this app was removed") if client is None else InvalidRequest("this app was blocked")
    resource = world.resources.at(pending.resource)
    if resource is None:
        raise InvalidRequest("what this app asks for is not served here any more")
    scopes = {**IDENTITY, **resource.scopes}
    return render(
        "consent.html",
        csrf=sessions.form_token(secret, world),
        req=req,
        client_name=client.client_name,
        client_host=host_of(client.client_id) if client.kind == "document" else None,
        redirect_host=_place(pending.redirect_uri),
        redirect_is_local=uris.is_local(pending.redirect_uri),
        scopes=[scopes[name] for name in pending.scope if name in scopes],
        resource=pending.resource if resource.scopes.keys() & set(pending.scope) else None,
        title=resource.title if len(world.resources) > 1 else None,
        account=viewer.email,
        already=sorted(consent.scope) if consent else [],
    )


async def decide(request: Request, world: World) -> Response:
    """Allow is remembered and goes on; Deny is told to the client."""
    now = world.now()
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    pending = opened(fields.get("req"), world, now)
    viewer = await sessions.viewer(request, world, now)
    if viewer is None:
        return see_other(step("/authorize/continue", sealed(pending, world)))
    pending = within_reach(pending, viewer)
    decision = fields.required("decision")
    note(decision=decision[:20])
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    await _record(world, pending, viewer, allowed=decision == "allow")
    if decision == "allow":
        return see_other(step("/authorize/continue", sealed(pending.approved(viewer.session_id), world)))
    refusal = AccessDenied("the user did not allow this")
    note(error=refusal.error, description=refusal.description)
    response = answer(
        pending.redirect_uri, world, error=refusal.error, error_description=refusal.description, state=pending.state
    )
    response.status_code = 303
    return response


async def _record(world: World, pending: Pending, viewer: Viewer, *, allowed: bool) -> None:
    now = world.now()
    async with world.db.begin() as db:
        if allowed:
            # As of the request, not of the click: what changed since then was perhaps not on the page (CIMD draft §6.3).
            asked_at = datetime.fromtimestamp(pending.started_at, UTC)
            await store.remember_consent(db, viewer.user_id, pending, asked_at)
        await audit.record(
            db,
            "consent.given" if allowed else "consent.refused",
            now,
            user_id=viewer.user_id,
            client_id=pending.client_id,
            scope=" ".join(pending.scope),
            redirect_host=uris.shown_host(pending.redirect_uri),
        )


def _place(redirect_uri: str) -> str:
    """Where the answer goes, as a person would say it."""
    if urlsplit(redirect_uri).scheme in ("http", "https"):
        return uris.shown_host(redirect_uri)
    return _("{place} (an app on this computer)").format(place=uris.shown_host(redirect_uri))

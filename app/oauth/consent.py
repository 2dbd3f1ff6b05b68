"""GET and POST /consent: the user sees who asks, what for and where the answer goes, and decides (RFC 6749 §4.1.1, MCP "Consent")."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from app.clients import lifetimes
from app.clients import store as clients
from app.language.catalogs import _
from app.language.when import lasting
from app.oauth import store
from app.oauth.authorize import answer
from app.oauth.decided import record
from app.protocol import redirect_uri as uris
from app.protocol.client_document import host_of
from app.protocol.errors import AccessDenied, InvalidRequest
from app.protocol.next_step import LOCAL_CONSENT, AskConsent, Login, next_step, within_reach
from app.protocol.params import parse
from app.protocol.pending import Pending
from app.protocol.scope import IDENTITY
from app.protocol.types import Client
from app.traces.recording import note
from app.upstream import broker
from app.web import sessions
from app.web.flow import opened, sealed, step
from app.web.http import form, see_other
from app.web.pages import render
from app.world import World


async def show_consent(request: Request, world: World) -> Response:
    """The page, if it is this step's turn."""
    now = world.now()
    req = parse(request.scope["query_string"]).get("req")
    pending = opened(req, world, now)
    viewer = await sessions.viewer(request, world, now)
    pending = within_reach(pending, viewer)
    consent = await store.consent(world.pool, viewer.user_id, pending) if viewer else None
    following = next_step(pending, viewer, consent, now)
    first = await broker.goes_first(world, pending, viewer, now) if isinstance(following, Login) else None
    if first is None and (viewer is None or not isinstance(following, AskConsent)):
        return see_other(step("/authorize/continue", req or ""))
    if first is not None:
        viewer, consent, pending = None, None, broker.by_anybody(pending)
    secret = sessions.cookie(request, world)
    fresh = secret or sessions.new_cookie()
    client = await _asker(world, pending)
    resource = world.resources.at(pending.resource)
    if resource is None:
        raise InvalidRequest("what this app asks for is not served here any more")
    scopes = {**IDENTITY, **resource.scopes}
    response = render(
        "consent.html",
        csrf=sessions.form_token(fresh, world),
        req=req,
        client_name=client.client_name,
        client_host=host_of(client.client_id) if client.kind == "document" else None,
        redirect_host=_place(pending.redirect_uri),
        redirect_is_local=uris.is_local(pending.redirect_uri),
        scopes=[scopes[name] for name in pending.scope if name in scopes],
        resource=pending.resource if resource.scopes.keys() & set(pending.scope) else None,
        title=resource.title if len(world.resources) > 1 else None,
        account=viewer.email if viewer else None,
        **_spans(client, world),
        sign_in_at=first.title if first else None,
        already=sorted(consent.scope) if consent else [],
    )
    if secret is None:
        sessions.set_cookie(response, world, fresh)
    return response


async def decide(request: Request, world: World) -> Response:
    """Allow is remembered and goes on; Deny is told to the client."""
    now = world.now()
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    pending = opened(fields.get("req"), world, now)
    viewer = await sessions.viewer(request, world, now)
    pending, first = within_reach(pending, viewer), None
    if isinstance(next_step(pending, viewer, None, now), Login):
        first = await broker.goes_first(world, pending, viewer, now)
        if first is not None:
            viewer, pending = None, broker.by_anybody(pending)
        elif viewer is None or fields.get("decision") != "deny":  # to say no, no sign-in is too old
            return see_other(step("/authorize/continue", sealed(pending, world)))
    decision = fields.required("decision")
    note(decision=decision[:20])
    if decision not in ("allow", "deny"):
        raise InvalidRequest("decision must be allow or deny")
    if first is not None and decision == "allow":  # recorded once it is known whose answer it was
        return await broker.send_away(request, world, first, pending)
    await record(world, pending, viewer, allowed=decision == "allow")
    if decision == "allow" and viewer is not None:
        return see_other(step("/authorize/continue", sealed(pending.approved(viewer.session_id), world)))
    refusal = AccessDenied("the user did not allow this")
    note(error=refusal.error, description=refusal.description)
    response = answer(
        pending.redirect_uri, world, error=refusal.error, error_description=refusal.description, state=pending.state
    )
    response.status_code = 303
    return response


async def _asker(world: World, pending: Pending) -> Client:
    """Who asks. Raises InvalidRequest when it may not any more."""
    client = await clients.client(world.pool, pending.client_id)
    if client is None:
        raise InvalidRequest("this app was removed")
    if client.blocked:
        raise InvalidRequest("this app was blocked")
    return client


def _spans(client: Client, world: World) -> dict[str, Any]:
    """How long a connection may last, and how long an answer to a program on this computer is remembered."""
    return {"lasts": lasting(lifetimes.absolute(client, world.settings)), "remembered": lasting(LOCAL_CONSENT)}


def _place(redirect_uri: str) -> str:
    """Where the answer goes, as a person would say it."""
    place = uris.shown_host(redirect_uri)
    match urlsplit(redirect_uri).scheme:
        case "https":
            return place
        case "http":
            return _("this computer ({place})").format(place=place)
    return _("{place} (an app on this computer)").format(place=place)

"""/authorize and /authorize/continue: identify, validate, then whatever step comes next (RFC 6749 §4.1.1, §4.1.2; RFC 9207)."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.clients import find
from app.language.catalogs import N_, _
from app.oauth import noted, store
from app.oauth.decided import record
from app.oauth.unknown_client import unknown_client
from app.oauth.validate import validate
from app.protocol import redirect_uri as uris
from app.protocol.errors import InvalidRequest, OAuthError
from app.protocol.next_step import AskConsent, Login, Refuse, next_step, within_reach
from app.protocol.params import Params, parse
from app.protocol.pending import REQUEST_URI, Pending
from app.protocol.types import Client, Viewer
from app.settings.read import Settings
from app.tokens.secrets import CODE, fingerprint, new_secret
from app.traces.recording import note
from app.upstream import broker
from app.web import sessions
from app.web.flow import opened, pulled, sealed, step
from app.web.http import client_address, form, see_other
from app.web.pages import error_page, page_refusal, said
from app.world import World

NO_WAY_BACK = N_(
    "Nothing was allowed, and nothing was sent. Close this page. If you trust the app that sent you here, remove this "
    "server from it and add it again; if that does not help, give the app's developer the reference below."
)


async def authorize(request: Request, world: World) -> Response:
    """Until client and redirect URI are known to be good, a fault is a page; from then on the client is told (§4.1.2.1)."""
    now = world.now()
    params = parse(request.scope["query_string"])
    noted.asked(params)
    client_id = _named(params)
    client = await _client(request, client_id, world, now)
    if client is None:
        return await unknown_client(request, world, client_id, params.all("redirect_uri"))
    request_uri = params.get("request_uri")
    if request_uri is not None and request_uri.startswith(REQUEST_URI):  # RFC 9126 §4: nothing else is looked at
        return await _proceed(request, world, pulled(request_uri, client.client_id, world, now), now)
    try:
        redirect_uri = identified(params, client, world.settings)
    except InvalidRequest as refusal:
        return page_refusal(refusal, request, world, next_step=_(NO_WAY_BACK))
    try:
        if client.requires_pushed:
            raise InvalidRequest("this app registered to push its requests first")
        pending = validate(params, client, redirect_uri, world.resources, now)
    except OAuthError as refusal:
        return await _refused(request, world, refusal, redirect_uri, _state(params))
    return await _proceed(request, world, pending, now)


async def authorize_by_form(request: Request, world: World) -> Response:
    """POST /authorize (OIDC Core §3.1.2.1): the same by GET, with which the browser sends the session's cookie along."""
    return see_other(f"/authorize?{(await form(request, world)).encoded()}")


async def resume(request: Request, world: World) -> Response:
    """GET /authorize/continue: back from a step."""
    now = world.now()
    pending = opened(parse(request.scope["query_string"]).get("req"), world, now)
    # Not a fresh look at a document: /authorize has just asked.
    if await _client(request, pending.client_id, world, now, fresh=False) is None:
        return await unknown_client(request, world, pending.client_id, [pending.redirect_uri])
    return await _proceed(request, world, pending, now)


def _named(params: Params) -> str:
    client_id = params.get("client_id")
    if client_id is None:
        note(fault="client_id")
        raise InvalidRequest("client_id is missing")
    return client_id


async def _client(
    request: Request, client_id: str, world: World, now: datetime, *, fresh: bool = True
) -> Client | None:
    address = client_address(request, world.settings.trusted_proxies)
    client = await find.client(world, client_id, address, now, fresh=fresh)
    note(client_name=client.client_name if client else None)
    return client


def identified(params: Params, client: Client, settings: Settings) -> str:
    """The redirect URI, which exists as a value only from here on. Raises InvalidRequest."""
    asked = params.get("redirect_uri")
    if asked is None:
        if len(client.redirect_uris) != 1:
            noted.redirect_mismatch(None, client)
            raise InvalidRequest("redirect_uri is missing, and this app did not register exactly one")
        asked = client.redirect_uris[0]
    elif not any(uris.matches(registered, asked) for registered in client.redirect_uris):
        noted.redirect_mismatch(asked, client)
        raise InvalidRequest("redirect_uri is not one that this app registered")
    # An app may have been registered under other rules.
    if uris.fault(asked) is not None or not uris.is_welcome(asked, settings.redirect_hosts):
        note(fault="redirect_host")
        raise InvalidRequest("redirect_uri leads to a place that this server does not accept")
    return asked


async def _proceed(request: Request, world: World, pending: Pending, now: datetime) -> Response:
    viewer = await sessions.viewer(request, world, now)
    pending = within_reach(pending, viewer)
    before = viewer is not None and broker.is_approved_here(request, world, pending)
    if before and viewer is not None:
        pending = pending.approved(viewer.session_id)
    consent = await store.consent(world.pool, viewer.user_id, pending) if viewer else None
    match next_step(pending, viewer, consent, now):
        case Login():
            note(next="sign-in")
            first = await broker.goes_first(world, pending, viewer, now)
            return see_other(step("/consent" if first else "/login", sealed(pending, world)))
        case AskConsent():
            note(next="consent")
            return see_other(step("/consent", sealed(pending, world)))
        case Refuse(error):
            return await _refused(request, world, error, pending.redirect_uri, pending.state)
    assert viewer is not None
    if before:
        await record(world, pending, viewer, allowed=True)
    response = await _issue_code(world, pending, viewer, now)
    if before:
        broker.forget(response, world)
    return response


async def _issue_code(world: World, pending: Pending, viewer: Viewer, now: datetime) -> Response:
    code = new_secret(CODE)
    expires_at = now + timedelta(seconds=world.settings.code_lifetime)
    if not await store.add_code(world.pool, fingerprint(code), viewer, pending, expires_at):
        raise InvalidRequest("this request was answered already; start again from your app")
    note(next="code", link=code, redirect_host=uris.shown_host(pending.redirect_uri))
    return answer(pending.redirect_uri, world, code=code, state=pending.state)


def answer(redirect_uri: str, world: World, **parameters: str | None) -> Response:
    """The redirect back to the client, with `iss` in every case (RFC 9207 §2)."""
    url = uris.with_parameters(redirect_uri, {**parameters, "iss": world.settings.issuer})
    response = RedirectResponse(url, 302, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    response.headers["Location"] = url  # as it was registered: the library would quote it once more
    return response


async def _refused(
    request: Request, world: World, refusal: OAuthError, redirect_uri: str, state: str | None
) -> Response:
    """Told to the client by redirect; but a web address that anybody may have registered is not redirected to before
    somebody signed in: else our origin would lend its name to a phisher (RFC 9700 §4.11.2)."""
    error, description = refusal.error, refusal.description
    note(error=error, description=description)
    response = answer(redirect_uri, world, error=error, error_description=description, state=state)
    if uris.is_local(redirect_uri) or await sessions.viewer(request, world, world.now()):
        return response
    return error_page(
        _("The app's request has a fault: {description} ({error}).").format(description=said(refusal), error=error),
        next_step=_("This is for the developer of the app to mend."),
        link=response.headers["Location"],
        link_text=_("Return to {app}").format(app=uris.shown_host(redirect_uri)),
    )


def _state(params: Params) -> str | None:
    try:
        return params.verbatim("state")
    except InvalidRequest:
        return None

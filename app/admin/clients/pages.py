"""/admin/clients and /admin/clients/ID: the apps, one of them, a new one by hand."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.clients import acts, store
from app.admin.clients.store import Lifetimes
from app.admin.entry import Visit, nothing_here
from app.admin.frame import done, once, place, query, shown, word
from app.clients.store import registered
from app.language.catalogs import N_
from app.protocol.client_document import host_of
from app.protocol.errors import Conflict, InvalidRequest, OAuthError
from app.protocol.params import Params
from app.web import paging

KINDS = ("document", "dynamic", "static", "blocked")


async def apps(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """The list."""
    params = query(visit)
    words, kind = word(params, "q"), params.get("kind")
    kind = kind if kind in KINDS else None
    at = place(visit)
    async with visit.world.db.connect() as db:
        rows = await store.page_of(db, words, kind, at, visit.now)
    listed = paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.client_id,)))
    return shown(
        visit,
        "admin_clients.html",
        refusal=refusal,
        apps=listed,
        filters={"q": words, "kind": kind},
        slug=acts.slug,
        host_of=host_of,
        many=store.MANY,
    )


async def one(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    client_id = acts.unslug(visit.request.path_params["client"])
    async with visit.world.db.connect() as db:
        app = await store.app_of(db, client_id, visit.now)
        metadata = await registered(db, client_id)
    if app is None or metadata is None:
        raise nothing_here()
    settings = visit.world.settings
    given = {name: getattr(app, name) for name in Lifetimes.__slots__}
    entered = {name: (word(typed, name, 20) or "") if typed and name in typed.names else n for name, n in given.items()}
    return shown(
        visit,
        "admin_client.html",
        refusal=refusal,
        app=app,
        path=f"/admin/clients/{acts.slug(client_id)}",
        host=host_of(client_id) if app.kind == "document" else None,
        metadata=metadata,
        entered=entered,
        fault="lifetimes" if refusal and visit.request.url.path.endswith("/lifetimes") else None,
        usual=[settings.access_token_lifetime, settings.refresh_idle, settings.refresh_absolute],
        many=store.MANY,
    )


async def new(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """The form for a client by hand."""
    entered = {
        name: (typed.verbatim(name) or "")[:20_000] if typed else "" for name in ("name", "redirect_uris", "kind")
    }
    chosen = typed.all("scope") if typed else list(visit.world.resources.default.default)
    scopes = acts.offered(visit.world)
    fields = {"invalid_redirect_uri": "redirect_uris", "invalid_scope": "scope"}
    fault = None if refusal is None else fields.get(refusal.error, "name")
    return shown(
        visit, "admin_client_new.html", refusal=refusal, entered=entered, chosen=chosen, scopes=scopes, fault=fault
    )


async def add(visit: Visit, fields: Params) -> Response:
    """303 to the new client, which shows its id and secret, this once."""
    redirect_uris = (fields.verbatim("redirect_uris") or "").split()
    public = fields.get("kind") == "public"
    name = word(fields, "name", 200) or ""
    app, secret = await acts.add(visit.world, name, redirect_uris, fields.all("scope"), visit.now, public=public)
    path = f"/admin/clients/{acts.slug(app.client_id)}"
    return once(visit, path, {"client_id": app.client_id} | ({"client_secret": secret} if secret else {}))


async def block(visit: Visit, fields: Params) -> Response:
    await acts.block(visit.world, _which(visit), visit.now)
    return _done(visit, "blocked")


async def unblock(visit: Visit, fields: Params) -> Response:
    await acts.unblock(visit.world, _which(visit), visit.now)
    return _done(visit, "unblocked")


async def set_lifetimes(visit: Visit, fields: Params) -> Response:
    wished = [_seconds(fields, name) for name in Lifetimes.__slots__]
    await acts.set_lifetimes(visit.world, _which(visit), Lifetimes(*wished), visit.now)
    return _done(visit, "saved")


async def rotate_secret(visit: Visit, fields: Params) -> Response:
    """Only with a tick, since nothing brings the old secret back."""
    if fields.get("sure") != "yes":
        raise Conflict(N_("tick the box to make a new secret"))
    client_id = _which(visit)
    secret = await acts.rotate_secret(visit.world, client_id, visit.now)
    return once(visit, f"/admin/clients/{acts.slug(client_id)}", {"client_id": client_id, "client_secret": secret})


async def disconnect(visit: Visit, fields: Params) -> Response:
    ended = await acts.disconnect(visit.world, _which(visit), visit.now)
    return _done(visit, "disconnected" if ended else "nothing")


async def remove(visit: Visit, fields: Params) -> Response:
    """Only with a tick, since nothing brings the client back."""
    if fields.get("sure") != "yes":
        raise Conflict(N_("tick the box to remove the app for good"))
    await acts.end(visit.world, _which(visit), visit.now)
    return done("/admin/clients", "removed")


def _seconds(fields: Params, name: str) -> int | None:
    text = word(fields, name, 20)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidRequest(N_("a lifetime is a whole number of seconds"))
    return int(text)


def _which(visit: Visit) -> str:
    return acts.unslug(visit.request.path_params["client"])


def _done(visit: Visit, what: str) -> Response:
    return done(f"/admin/clients/{acts.slug(_which(visit))}", what)

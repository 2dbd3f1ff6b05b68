"""/admin/api/clients: apps as JSON. `path` in the addresses is the one that an app is listed with."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Literal

from fastapi import APIRouter, Request

from app.admin.api.frame import After, Words, body, caller, plain, wish
from app.admin.api.models import (
    AddedClient,
    Client,
    ClientSecret,
    Ended,
    Listed,
)
from app.admin.api.wishes import ClientChange, NewClient
from app.admin.clients import acts, store
from app.admin.clients.store import App, Lifetimes
from app.admin.entry import Caller
from app.web import paging

routes = APIRouter(prefix="/clients", tags=["Apps"])
LEAN: dict[str, Any] = {"response_model_exclude_none": True}
Kind = Literal["document", "dynamic", "static", "blocked"]


@routes.get("", response_model=Listed[Client], **LEAN)
async def list_clients(request: Request, q: Words = None, kind: Kind | None = None, after: After = None) -> Any:
    """Newest first. `q` is the beginning of a name or of an id."""
    at, by = paging.read(after), caller(request)
    async with by.world.db.connect() as db:
        rows = await store.page_of(db, plain(q), kind, at, by.now)
    listed = paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.client_id,)))
    return {"rows": [_told(app) for app in listed.rows], "after": listed.after}


@routes.post("", status_code=201, response_model=AddedClient, openapi_extra=body(NewClient), **LEAN)
async def add_client(request: Request) -> Any:
    """An app by hand, with a secret unless it is public."""
    by, new = caller(request), await wish(request, NewClient)
    scope = new.scope.split()
    app, secret = await acts.add(by.world, new.client_name, new.redirect_uris, scope, by.now, public=new.public)
    return _told(app) | {"client_secret": secret}


@routes.get("/{path}", response_model=Client, **LEAN)
async def show_client(request: Request, path: str) -> Any:
    """One app."""
    by = caller(request)
    return _told(await acts.known(by.world, _which(path), by.now))


@routes.patch("/{path}", response_model=Client, openapi_extra=body(ClientChange), **LEAN)
async def change_client(request: Request, path: str) -> Any:
    """Block it or let it in again; change how long its tokens live. What is so already is left so."""
    by, change, client_id = caller(request), await wish(request, ClientChange), _which(path)
    app = await acts.known(by.world, client_id, by.now)
    await _change_lifetimes(by, app, change)
    if change.blocked is True and app.blocked_at is None:
        await acts.block(by.world, client_id, by.now)
    if change.blocked is False and app.blocked_at is not None:
        await acts.unblock(by.world, client_id, by.now)
    return _told(await acts.known(by.world, client_id, by.now))


async def _change_lifetimes(by: Caller, app: App, change: ClientChange) -> None:
    wished = {name: getattr(change, name) for name in Lifetimes.__slots__ if name in change.model_fields_set}
    if wished:
        now = Lifetimes(app.access_lifetime, app.refresh_idle, app.refresh_absolute)
        await acts.set_lifetimes(by.world, app.client_id, replace(now, **wished), by.now)


@routes.delete("/{path}", status_code=204)
async def remove_client(request: Request, path: str) -> None:
    """It is served no more, for good."""
    by = caller(request)
    await acts.end(by.world, _which(path), by.now)


@routes.post("/{path}/secret", status_code=201, response_model=ClientSecret)
async def rotate_client_secret(request: Request, path: str) -> Any:
    """A new secret; the old one ends at once."""
    by, client_id = caller(request), _which(path)
    return {"client_id": client_id, "client_secret": await acts.rotate_secret(by.world, client_id, by.now)}


@routes.post("/{path}/disconnect", response_model=Ended)
async def disconnect_client(request: Request, path: str) -> Any:
    """Ends everybody's connections with it."""
    by = caller(request)
    return {"ended": await acts.disconnect(by.world, _which(path), by.now)}


def _which(path: str) -> str:
    return acts.unslug(plain(path) or "")


def _told(app: App) -> dict[str, Any]:
    return asdict(app) | {"path": acts.slug(app.client_id)}

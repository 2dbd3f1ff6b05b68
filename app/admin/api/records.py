"""/admin/api/connections, api-keys, attempts, signing-keys, audit, settings, overview as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.admin import signing_keys
from app.admin.api import models
from app.admin.api.frame import After, Words, body, caller, plain, wish
from app.admin.api.models import Listed
from app.admin.api.wishes import Rotation
from app.admin.api_keys import acts as key_acts
from app.admin.api_keys import store as key_store
from app.admin.attempts import look as attempts
from app.admin.connections import acts as connection_acts
from app.admin.connections import store as connection_store
from app.admin.log import store as log
from app.admin.log.file import exported
from app.admin.log.pages import moment
from app.admin.overview import look
from app.settings.shown import shown
from app.web import paging

LEAN: dict[str, Any] = {"response_model_exclude_none": True}
connections = APIRouter(prefix="/connections", tags=["Connections"])
api_keys = APIRouter(prefix="/api-keys", tags=["API keys of everybody"])
looked_at = APIRouter(tags=["Records"])
ROUTES = (connections, api_keys, looked_at)


@connections.get("", response_model=Listed[models.Connection], **LEAN)
async def list_connections(request: Request, user: Words = None, client: Words = None, after: After = None) -> Any:
    """Open ones, newest first; of a user (id or e-mail), with a client (id)."""
    at, by, whose = paging.read(after), caller(request), plain(user)
    async with by.world.db.connect() as db:
        user_id = await connection_store.user_of(db, whose) if whose else None
        found = user_id or not whose
        rows = await connection_store.page_of(db, user_id, plain(client), at, by.now) if found else []
    return paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,)))


@connections.delete("/{connection_id}", status_code=204)
async def end_connection(request: Request, connection_id: str) -> None:
    """Its tokens end within a second."""
    by = caller(request)
    await connection_acts.end_one(by.world, plain(connection_id) or "", by.now)


@api_keys.get("", response_model=Listed[models.ApiKey], **LEAN)
async def list_api_keys(request: Request, user: Words = None, stale: bool = False, after: After = None) -> Any:
    """Newest first; of a user (id or e-mail); `stale`: unused for 90 days."""
    at, by, whose = paging.read(after), caller(request), plain(user)
    before = by.now - key_store.STALE if stale else None
    async with by.world.db.connect() as db:
        user_id = await connection_store.user_of(db, whose) if whose else None
        rows = await key_store.page_of(db, user_id, before, at) if user_id or not whose else []
    return paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,)))


@api_keys.delete("/{key_id}", status_code=204)
async def end_api_key(request: Request, key_id: str) -> None:
    """Its tokens end within a second."""
    by = caller(request)
    await key_acts.end(by.world, plain(key_id) or "", by.now)


@looked_at.get("/attempts", response_model=Listed[models.Attempt], **LEAN)
async def list_attempts(
    request: Request, client: Words = None, user: Words = None, failed: bool = False, after: After = None
) -> Any:
    """Of clients that tried to connect, the last first. A page may be empty and still have an `after`: look further back."""
    by, wanted = caller(request), attempts.Wanted(plain(client), plain(user), failed)
    return await attempts.page_of(by.world, wanted, paging.read(after), by.now)


@looked_at.get("/attempts/{identifier}", response_model=models.Attempt, **LEAN)
async def show_attempt(request: Request, identifier: str) -> Any:
    """By its id or by the request id of any of its steps."""
    by = caller(request)
    return await attempts.one(by.world, plain(identifier) or "", by.now)


@looked_at.get("/signing-keys", response_model=models.SigningKeys, **LEAN)
async def list_signing_keys(request: Request) -> Any:
    """Newest first."""
    by = caller(request)
    return {"rows": signing_keys.keys(by.world, by.now)}


@looked_at.post("/signing-keys", status_code=201, response_model=models.Published, openapi_extra=body(Rotation), **LEAN)
async def rotate_signing_keys(request: Request) -> Any:
    """New keys of each algorithm."""
    by, new = caller(request), await wish(request, Rotation)
    return {"kids": await signing_keys.publish(by.world, by.now, at_once=new.at_once)}


@looked_at.get("/audit", response_model=models.Events, **LEAN)
async def list_events(
    request: Request,
    event: Words = None,
    user: Words = None,
    client: Words = None,
    by: Words = None,
    since: Words = None,
    until: Words = None,
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Any:
    """Newest first. `event` may be a group such as `api_key`; times are days or RFC 3339."""
    wanted = log.Wanted(moment(since), moment(until), plain(event), plain(user), plain(client), plain(by))
    async with caller(request).world.db.connect() as db:
        rows = await log.newest(db, wanted, before=before, limit=paging.PAGE + 1)
    more = rows[paging.PAGE - 1].id if len(rows) > paging.PAGE else None
    return {"rows": rows[: paging.PAGE], "before": more}


@looked_at.get("/audit/file", response_class=Response)
async def export_events(
    request: Request,
    format: Literal["jsonl", "csv"] = "jsonl",
    event: Words = None,
    user: Words = None,
    client: Words = None,
    by: Words = None,
    since: Words = None,
    until: Words = None,
) -> Response:
    """All of them, oldest first, as JSON lines or CSV."""
    who = caller(request)
    wanted = log.Wanted(moment(since), moment(until), plain(event), plain(user), plain(client), plain(by))
    return await exported(who.world, who.user_id, wanted, format, who.now)


@looked_at.get("/settings", response_model=models.Settings, **LEAN)
async def list_settings(request: Request) -> Any:
    """Each with its source and meaning; secrets are masked."""
    return {"rows": shown(caller(request).world.settings)}


@looked_at.get("/overview", response_model=models.Overview, **LEAN)
async def show_overview(request: Request) -> Any:
    """Health, what is left to do, numbers."""
    by = caller(request)
    return await look.overview(by.world, by.user_id, by.now)

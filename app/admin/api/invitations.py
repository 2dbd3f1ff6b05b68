"""/admin/api/invitations: who is invited, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from app.admin.api.frame import After, body, caller, plain, wish
from app.admin.api.models import Listed
from app.admin.api.people import Invitation, MadeInvitation
from app.admin.api.wishes import NewInvitation
from app.admin.entry import nothing_here
from app.users.invitations import invite as invitations
from app.users.invitations import store
from app.web import paging
from app.world import World

routes = APIRouter(prefix="/invitations", tags=["Invitations"])
LEAN: dict[str, Any] = {"response_model_exclude_none": True}


@routes.get("", response_model=Listed[Invitation], **LEAN)
async def list_invitations(request: Request, after: After = None) -> Any:
    """Newest first; those that expired too, for a month."""
    at = paging.read(after)
    async with caller(request).world.db.connect() as db:
        rows = await store.page(db, before=(at.at, at.names[0]) if at else None, limit=paging.PAGE + 1)
    return paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,)))


@routes.post("", status_code=201, response_model=MadeInvitation, openapi_extra=body(NewInvitation), **LEAN)
async def invite(request: Request) -> Any:
    """By mail, or with `by_mail` false or without mail by a link, which is in the answer and nowhere else. An address that
    was invited before gets a new link, and the old one ends."""
    by, new = caller(request), await wish(request, NewInvitation)
    made = await invitations.invite(by.world, new.email, is_admin=new.is_admin, by=by.user_id, by_mail=new.by_mail)
    return _given(by.world, made)


@routes.post("/{invitation_id}/again", status_code=201, response_model=MadeInvitation, **LEAN)
async def invite_again(request: Request, invitation_id: str) -> Any:
    """A new link, good for a week; the one before ends."""
    by = caller(request)
    return _given(by.world, await invitations.send_again(by.world, plain(invitation_id) or "", by=by.user_id))


@routes.delete("/{invitation_id}", status_code=204)
async def take_back(request: Request, invitation_id: str) -> None:
    """Its link ends."""
    by = caller(request)
    if await invitations.revoke(by.world, plain(invitation_id) or "", by=by.user_id) is None:
        raise nothing_here()


def _given(world: World, made: invitations.Made) -> dict[str, Any]:
    invitations.send(world, made)
    return asdict(made.invitation) | {"link": made.link}

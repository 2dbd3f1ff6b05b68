"""/admin/api: every route behind one door (app/admin/entry.py)."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.admin.api import clients, invitations, projects, records, spending, users
from app.admin.api.frame import REFUSALS
from app.admin.entry import called
from app.api_keys.callers import Callers
from app.world import World


def router(world: World, callers: Callers) -> APIRouter:
    """All of them. Whoever may not come in is told so before anything of the request is looked at."""

    async def door(request: Request, response: Response) -> None:
        request.state.caller = await called(request, world, callers)
        response.headers["Cache-Control"] = "no-store"

    routes = APIRouter(prefix="/admin/api", dependencies=[Depends(door)], responses=REFUSALS)
    for some in (users.routes, invitations.routes, clients.routes, projects.routes, *spending.ROUTES, *records.ROUTES):
        routes.include_router(some)
    return routes

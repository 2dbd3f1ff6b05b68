"""/admin/api/projects: whose public key agents come with, as JSON."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from app.admin.api.books import Project, Projects
from app.admin.api.frame import body, caller, plain, wish
from app.admin.api.wishes import NewProject, ProjectChange
from app.admin.projects import acts

routes = APIRouter(prefix="/projects", tags=["Projects"])
LEAN: dict[str, Any] = {"response_model_exclude_none": True}


@routes.get("", response_model=Projects, **LEAN)
async def list_projects(request: Request) -> Any:
    """Oldest first, revoked ones last."""
    return {"rows": await acts.listed(caller(request).world)}


@routes.post("", status_code=201, response_model=Project, openapi_extra=body(NewProject), **LEAN)
async def add_project(request: Request) -> Any:
    """Its public key is made here."""
    by, new = caller(request), await wish(request, NewProject)
    return await acts.add(by.world, new.model_dump(exclude_none=True), by.now)


@routes.get("/{project_id}", response_model=Project, **LEAN)
async def show_project(request: Request, project_id: str) -> Any:
    """One project, a revoked one too."""
    return await acts.known(caller(request).world, plain(project_id) or "")


@routes.patch("/{project_id}", response_model=Project, openapi_extra=body(ProjectChange), **LEAN)
async def change_project(request: Request, project_id: str) -> Any:
    """Other prices and limits, for sessions from now on; pause it or let it go on. What is so already is left so."""
    by, change, which = caller(request), await wish(request, ProjectChange), plain(project_id) or ""
    before = await acts.known(by.world, which)
    wished = {name: value for name, value in change.model_dump(exclude={"paused"}).items() if value is not None}
    if wished:
        await acts.change(by.world, which, wished, by.now)
    if change.paused is True and before.paused_at is None:
        await acts.pause(by.world, which, by.now)
    if change.paused is False and before.paused_at is not None:
        await acts.go_on(by.world, which, by.now)
    return await acts.known(by.world, which)


@routes.delete("/{project_id}", status_code=204)
async def remove_project(request: Request, project_id: str) -> None:
    """It ends with its sessions, for good; their tokens within a second."""
    by = caller(request)
    await acts.end(by.world, plain(project_id) or "", by.now)

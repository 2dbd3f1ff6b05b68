"""What admins do to projects, for the pages and the JSON API alike. Each deed and its line in the audit log are one transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from app.agents import projects, store
from app.agents.store import Project
from app.language.catalogs import N_
from app.protocol.errors import Conflict, NotFound
from app.protocol.scope import words_of
from app.world import World

TAKEN = N_("there is a project of this name already")


async def listed(world: World) -> list[Project]:
    """Oldest first, revoked ones last."""
    async with world.db.connect() as db:
        return sorted(await store.projects(db), key=lambda one: (one.revoked_at is not None, one.created_at))


async def known(world: World, project_id: str) -> Project:
    """Raises NotFound."""
    async with world.db.connect() as db:
        found = await store.project_by_id(db, project_id)
    if found is None:
        raise NotFound(N_("there is no such project"))
    return found


async def add(world: World, wished: dict[str, Any], now: datetime) -> Project:
    """`wished` as `new_project` takes it. Raises InvalidRequest, Conflict."""
    resource = world.resources.default
    wished = {"scope": " ".join(sorted(resource.rules.baseline))} | wished
    made = projects.new_project(**wished, now=now, scopes=projects.may_have(resource))
    async with world.db.begin() as db:
        added = await projects.add(db, made, now)
    if not added:
        raise Conflict(TAKEN)
    return made


async def change(world: World, project_id: str, wished: dict[str, Any], now: datetime) -> None:
    """For sessions that begin from now on. Raises NotFound, InvalidRequest, Conflict."""
    before = await _living(world, project_id)
    if "scope" in wished:
        wished = wished | {"scope": tuple(words_of(wished["scope"]))}
    after = replace(before, **wished)
    projects.check(after, projects.may_have(world.resources.default))
    if after == before:
        return
    async with world.db.begin() as db:
        changed = await projects.change(db, after, now)
    if not changed:
        raise Conflict(TAKEN)


async def pause(world: World, project_id: str, now: datetime) -> None:
    """Raises NotFound, Conflict."""
    await _living(world, project_id)
    async with world.db.begin() as db:
        paused = await projects.pause(db, project_id, now, lifetime=world.token_lifetime)
    if paused is None:
        raise Conflict(N_("the project is paused already"))


async def go_on(world: World, project_id: str, now: datetime) -> None:
    """Raises NotFound, Conflict."""
    await _living(world, project_id)
    async with world.db.begin() as db:
        going = await projects.go_on(db, project_id, now)
    if going is None:
        raise Conflict(N_("the project is not paused"))


async def end(world: World, project_id: str, now: datetime) -> None:
    """For good, with its sessions. Raises NotFound."""
    await _living(world, project_id)
    async with world.db.begin() as db:
        await projects.end_project(db, project_id, now, lifetime=world.token_lifetime)


async def _living(world: World, project_id: str) -> Project:
    found = await known(world, project_id)
    if found.revoked_at is not None:
        raise NotFound(N_("there is no such project"))
    return found

"""The backends of all resources and the guards in front of them, put up together, and exchanged all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from app.api_keys.callers import Callers
from app.gate.guard import Guard
from app.gate.stage import Opening, Stage
from app.protocol.scope import expanded
from app.resources.model import Elsewhere, Resource
from app.resources.served import Resources
from app.world import World

PATIENCE = 10.0  # seconds that calls on a backend which is taken away may go on


class Stages:
    """Once per process."""

    def __init__(self, world: World, callers: Callers, built_in: Opening, tools: Mapping[str, str]) -> None:
        self._world = world
        self._callers = callers
        self._built_in = built_in
        self._tools = tools
        self.guards: dict[str, Guard] = {}  # by path

    async def open(self, resources: Resources) -> dict[str, Guard]:
        """Guards for these, by path, not serving yet: what there is already and does not change is kept. When one backend
        cannot start, those that were started for this are closed again. Raises what that start raises."""
        started: list[Stage] = []
        guards: dict[str, Guard] = {}
        try:
            for resource in resources:
                if isinstance(resource.backend, Elsewhere):
                    continue
                now = self.guards.get(resource.path)
                stage = now.stage if now is not None and now.stage.serves(resource) else None
                if stage is None:
                    stage = Stage(resource, self._world, self._built_in)
                    await stage.open()
                    started.append(stage)
                guards[resource.path] = self._guard(resource, stage, now, resources)
        except BaseException:
            await _closed(started, 0)
            raise
        return guards

    async def serve(self, guards: dict[str, Guard]) -> None:
        """From now on these; what is no longer needed is closed when the calls on it have ended."""
        before, self.guards = self.guards, guards
        kept = {id(guard.stage) for guard in guards.values()}
        await _closed([guard.stage for guard in before.values() if id(guard.stage) not in kept], PATIENCE)

    async def close(self) -> None:
        await _closed([guard.stage for guard in self.guards.values()], 0)

    def _guard(self, resource: Resource, stage: Stage, now: Guard | None, resources: Resources) -> Guard:
        is_default = resource is resources.default
        if now is not None and now.stage is stage and now.resource == resource and now.is_default == is_default:
            return now  # with whom it has met
        tools = self._tools if resource.backend is None else {}
        guests = frozenset(resources.held(resource, self._world.settings.paid_scope))
        at = (resource, stage, self._world, self._callers, tools)
        return Guard(*at, is_default=is_default, guests_hold=expanded(guests, resource.scopes))


async def _closed(stages: list[Stage], patience: float) -> None:
    await asyncio.gather(*(stage.close(patience) for stage in stages))

"""`command = [...]`: a stdio server behind streamable HTTP, one process for everybody or one for each user (MCP transports)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr
from starlette.types import ASGIApp

from app.gate.backends.stdio.endpoint import Endpoint
from app.gate.backends.stdio.processes import Processes
from app.resources.model import CommandBackend, Resource
from app.settings.variables import inherited
from app.world import World

INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
USER = "GATEHOUSE_USER"  # of a process that is one user's: the id of that user


@asynccontextmanager
async def spoken_to(resource: Resource, world: World) -> AsyncIterator[ASGIApp]:
    """The ASGI app in front of the resource's server; every process that it starts has ended when this is left."""
    backend = resource.backend
    assert isinstance(backend, CommandBackend)
    given = {name: _plain(value) for name, value in backend.env.items()}

    def environment(user: str) -> dict[str, str]:
        return inherited(*INHERITED) | ({USER: user} if user else {}) | given

    processes = Processes(resource.name, backend, environment, world.now)
    async with processes.kept():
        yield Endpoint(processes, world, per_user=backend.per_user)


def _plain(value: SecretStr | str) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value

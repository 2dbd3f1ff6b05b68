"""What is measured, running: a database, servers in front of it, and the scene set up in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from app.db import embedded
from app.db.migrate import upgrade
from app.world import world_of
from bench import cores, proc, scene
from bench.jobs import FLOOR, UNGUARDED
from bench.servers import Child, child, free_port

ALONE = {UNGUARDED: "bench.unguarded", FLOOR: "bench.floor", "streams": "bench.streams"}
RESOURCES = """
[resources.notes]
path = "/mcp"
title = "Notes"
builtin = true

[resources.raw]
path = "/raw/mcp"
title = "Raw"
python = "bench.raw:app"
scopes = { read = "Read" }

[resources.priced]
path = "/priced/mcp"
title = "The same, for sats"
builtin = true
tools = { whoami = { price = 1 } }
"""  # where the server under test finds it, beside its tools an app that answers at once


@contextmanager
def postgres(place: Path, chosen: cores.Cores) -> Iterator[tuple[str, int]]:
    """A migrated database of its own: its DSN and the pid of its postmaster."""
    folder = place / "postgres"
    with embedded.hold(folder):
        try:
            dsn = embedded.start(folder).dsn
            upgrade(dsn)
            postmaster = int((folder / "pg" / "postmaster.pid").read_text().split("\n")[0])
            cores.pin([postmaster, *proc.children(postmaster)], chosen.postgres)
            yield dsn, postmaster
        finally:
            embedded.stop(folder)


@contextmanager
def gatehouse(place: Path, name: str, dsn: str, chosen: cores.Cores, **settings: str) -> Iterator[Child]:
    """`serve` with one worker, or what ALONE names: the tools alone, or streams alone."""
    port = free_port()
    (place / "gatehouse.toml").write_text(RESOURCES)
    command = "bench.soak.soaked" if name == "soaked" else "app"
    module = [ALONE[name], str(port)] if name in ALONE else [command, "serve", "--port", str(port)]
    server = child(place, name, port, *module, cores=chosen.server, **scene.settings(dsn, port), **settings)
    try:
        server.wait_until("/readyz", None if name in ALONE else 200)
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def prepared(dsn: str, port: int) -> AsyncIterator[scene.Scene]:
    async with world_of(scene.own_settings(dsn, port), lambda: datetime.now(UTC)) as world:
        yield await scene.set_up(world, port)

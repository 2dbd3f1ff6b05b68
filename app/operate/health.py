"""GET /healthz (the process) and /readyz (database, migrations, keys), for load balancers and people."""

from __future__ import annotations

import asyncio

import structlog
from starlette.requests import Request
from starlette.responses import Response

from app.db.engine import is_unavailable
from app.db.migrate import is_current
from app.tokens.store import takes_writes
from app.web.http import no_store
from app.world import World

SECONDS = 3.0
log = structlog.get_logger("gatehouse.health")


async def healthz(request: Request, world: World) -> Response:
    return no_store({"status": "ok"})


async def readyz(request: Request, world: World) -> Response:
    """200 when every check holds, else 503 with the ones that do not; 503 too from a process that is about to stop."""
    checks = {"database": False, "migrations": False, "keys": bool(world.live.ring.keys)}
    try:
        async with asyncio.timeout(SECONDS):
            checks["database"] = await takes_writes(world.pool)
            async with world.db.connect() as db:
                checks["migrations"] = await is_current(db)
    except Exception as fault:
        if not is_unavailable(fault):
            log.error("readiness not known", exc_info=fault)
    ready = all(checks.values()) and not world.leaving.is_set()
    words = {name: "ok" if held else "failing" for name, held in checks.items()}
    status = "leaving" if world.leaving.is_set() else "ready" if ready else "not ready"
    return no_store({"status": status, "checks": words}, 200 if ready else 503)

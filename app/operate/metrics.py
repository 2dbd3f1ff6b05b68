"""GET /metrics: the numbers of this server, of all its processes, for whoever has the operator's token (Prometheus text format)."""

from __future__ import annotations

import asyncio
import hmac
import os
import resource
import time
from collections.abc import Iterable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from app import __version__
from app.language.catalogs import N_
from app.measures import Key, exposition
from app.protocol.errors import NotFound, OAuthError
from app.web.http import bearer
from app.world import World

EVERY_SECONDS = 1.0
NOTHING = N_("nothing is served at this address")
TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def metrics(request: Request, world: World) -> Response:
    """To everybody else there is nothing here."""
    if not _is_operator(request, world):
        raise NotFound(NOTHING)
    folder = world.settings.metrics_dir
    if folder is not None:
        with suppress(OSError):  # whoever is asked next may be another process, and no number is to fall
            world.measures.leave_in(folder)
    others = [] if folder is None else await asyncio.to_thread(world.measures.left_by_others, folder)
    text = exposition([world.measures.snapshot(), *others])
    return Response(text, 200, {"Cache-Control": "no-store"}, media_type=TYPE)


def _is_operator(request: Request, world: World) -> bool:
    wanted = world.settings.metrics_token
    if wanted is None:
        return False
    try:
        given = bearer([value.encode("latin-1") for value in request.headers.getlist("authorization")])
    except OAuthError:
        return False
    return hmac.compare_digest(given.encode("latin-1", "replace"), wanted.get_secret_value().encode())


def levels(world: World) -> Iterable[tuple[Key, float]]:
    """What is looked up at the moment somebody asks."""
    now, live = world.now(), world.live
    yield ("gatehouse_info", __version__), 1
    yield ("gatehouse_workers",), 1
    yield ("gatehouse_ready_to_leave",), world.leaving.is_set()
    yield ("gatehouse_revocations",), len(live.revocations)
    yield ("gatehouse_database_silence_seconds",), max(now.timestamp() - live.revocations.as_of, 0)
    yield from _pools(world)
    with suppress(LookupError):
        yield ("gatehouse_signing_key_age_seconds",), (now - live.ring.signer(now).signs_from).total_seconds()
    with suppress(OSError):  # of Linux
        with open("/proc/self/statm") as file:
            yield ("gatehouse_resident_bytes",), int(file.read().split()[1]) * resource.getpagesize()
        yield ("gatehouse_open_files",), len(os.listdir("/proc/self/fd"))


def _pools(world: World) -> Iterable[tuple[Key, float]]:
    hot, cool, size = world.pool, world.db.pool, world.settings.pool_size
    yield ("gatehouse_pool_connections", "hot", "busy"), hot.busy
    yield ("gatehouse_pool_connections", "hot", "idle"), hot.idle
    yield ("gatehouse_pool_connections", "cool", "busy"), cool.checkedout()  # type: ignore[attr-defined]
    yield ("gatehouse_pool_connections", "cool", "idle"), cool.checkedin()  # type: ignore[attr-defined]
    yield ("gatehouse_pool_size", "hot"), size
    yield ("gatehouse_pool_size", "cool"), size


async def keep_measuring(world: World) -> None:
    """How late the loop is; and where there are several processes, what the others are to know. Runs until cancelled."""
    folder, measures = world.settings.metrics_dir, world.measures
    measures.watch(lambda: levels(world))
    late = 0.0
    while True:
        measures.levels[("gatehouse_loop_delay_seconds",)] = late
        measures.counts[("gatehouse_cpu_seconds_total",)] = time.process_time()
        if folder is not None:
            with suppress(OSError):  # the supervisor has gone
                measures.leave_in(folder)
        asleep = time.perf_counter()
        await asyncio.sleep(EVERY_SECONDS)
        late = max(time.perf_counter() - asleep - EVERY_SECONDS, 0)

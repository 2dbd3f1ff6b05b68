"""With a million rows in the tables: what the sweep takes, a start, the first and the last page of each list, somebody's leaving."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop
from rich.console import Console

from app.db.engine import plain_url
from app.operate.sweep import sweep
from app.tokens.secrets import fingerprint, new_id
from app.users import accounts
from app.users.remove import remove
from app.web import sessions
from app.web.paging import Place
from app.world import World, world_of
from bench import scene, tables
from bench.grow.rows import identifier
from bench.servers import Child, child, free_port

EXPIRED, MOST_ROUNDS = 100_000, 200
PAGE_MS, SWEEP_SECONDS, START_SECONDS = 100.0, 1.0, 3.0
LISTS = {
    "/admin/users": ("users", "created_at, id"),
    "/admin/clients": ("clients", "created_at, client_id"),
    "/admin/connections": ("connections", "created_at, id"),
    "/admin/api-keys": ("api_keys", "created_at, id"),
}
OTHERS = (
    "/admin",
    "/admin/users?q=user-99",
    "/admin/audit",
    "/admin/audit?until={oldest}",
    "/account",
    "/account/api-keys",
)

Found = list[tuple[str, float, float]]  # what, milliseconds, at most


def measure(place: Path, dsn: str, server: Child, count: int) -> None:
    found: Found = []
    for _ in range(2):  # the first compiles
        port = free_port()
        another = child(
            place, "start", port, "app", "serve", "--port", str(port), cores=frozenset(), **scene.settings(dsn, port)
        )
        took = another.wait_until("/readyz", 200)
        another.stop()
    found.append(("a start, until it is ready", took * 1000, START_SECONDS * 1000))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_inside(dsn, server, count, found))
    table = tables.figures(f"With {count:,} rows", "what", "ms", "at most", "")
    for what, took, most in found:
        table.add_row(what, f"{took:,.1f}", f"{most:,.0f}", "ok" if took <= most else "MISSED")
    Console(width=100, highlight=False).print(table)


async def _inside(dsn: str, server: Child, count: int, found: Found) -> None:
    async with world_of(scene.own_settings(dsn, server.port), lambda: datetime.now(UTC)) as world:
        cookie = await _signed_in(world)
        for path in [path async for path in _paths(dsn)]:
            await asyncio.to_thread(_opened, server, path, cookie)
            took = [await asyncio.to_thread(_opened, server, path, cookie) for _ in range(5)]
            found.append(
                (
                    path.split("after=")[0] + ("(the last page)" if "after=" in path else ""),
                    statistics.median(took),
                    PAGE_MS,
                )
            )
        for what in ("the sweep, where nothing is to be done", "the same once more"):
            found.append((what, await _swept(world), SWEEP_SECONDS * 1000))
        await _expire(dsn)
        took, left = [await _swept(world)], await _left(dsn)
        while left and len(took) < MOST_ROUNDS:
            took.append(await _swept(world))
            left = await _left(dsn)
        expired = f"{EXPIRED:,} codes and as many sessions"
        found.append((f"the longest of {len(took)} rounds of the sweep that took {expired}", max(took), 30_000))
        found.append((f"of them left, of {2 * EXPIRED:,}", left, 0))
        await _unuse(dsn)
        found.append(("the sweep of 1,000 clients that nobody uses", await _swept(world), 5000))
        began = time.perf_counter()
        await _leave(world, identifier("usr", count - 1))
        found.append(("somebody's account deleted", (time.perf_counter() - began) * 1000, 500))


async def _signed_in(world: World) -> str:
    """An admin's cookie."""
    now, secret = datetime.now(UTC), sessions.new_cookie()
    async with world.db.begin() as db:
        user = await accounts.create(db, "lists@example.com", "", None, now, is_admin=True)
        assert user is not None
        values = {"fingerprint": fingerprint(secret), "id": new_id("ses"), "user_id": user.id, "now": now}
        rest = {"expires_at": now + scene.A_DAY, "user_agent": "bench", "address": "127.0.0.1", "method": "password"}
        await db.execute(sessions.START, values | rest)
    return f"{sessions.cookie_name(world.settings)}={secret}"


async def _paths(dsn: str) -> AsyncIterator[str]:
    db = await asyncpg.connect(plain_url(dsn))
    for path, (table, order) in LISTS.items():
        yield path
        row = await db.fetchrow(f"SELECT {order} FROM {table} ORDER BY {order} OFFSET 30 LIMIT 1")
        yield f"{path}?after={Place(row[0], (row[1],)).written()}"
    oldest = await db.fetchval("SELECT min(at) FROM audit_events")
    for path in OTHERS:
        yield path.format(oldest=(oldest + timedelta(days=1)).date().isoformat())
    await db.close()


def _opened(server: Child, path: str, cookie: str) -> float:
    """Milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    began = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    answer.read()
    took = (time.perf_counter() - began) * 1000
    connection.close()
    assert answer.status == 200, f"{path}: {answer.status}"
    return took


async def _swept(world: World) -> float:
    began = time.perf_counter()
    await sweep(world, datetime.now(UTC))
    return (time.perf_counter() - began) * 1000


async def _expire(dsn: str) -> None:
    db = await asyncpg.connect(plain_url(dsn))
    await db.execute(
        "INSERT INTO codes (fingerprint, client_id, user_id, redirect_uri, redirect_host, code_challenge, scope, resource,"
        " expires_at, consumed_at) SELECT sha256(n::text::bytea), 'c', 'u', 'r', 'h', 'x', '{}', 'a', now() - interval '2 days',"
        f" now() - interval '2 days' FROM generate_series(1, {EXPIRED}) n"
    )
    await db.execute(
        "UPDATE browser_sessions SET expires_at = now() - interval '1 minute' WHERE fingerprint IN"
        f" (SELECT fingerprint FROM browser_sessions WHERE user_agent <> 'bench' LIMIT {EXPIRED})"
    )
    await db.close()


async def _left(dsn: str) -> int:
    db = await asyncpg.connect(plain_url(dsn))
    left: int = await db.fetchval(
        "SELECT (SELECT count(*) FROM codes WHERE expires_at < now() - interval '1 day')"
        " + (SELECT count(*) FROM browser_sessions WHERE expires_at < now())"
    )
    await db.close()
    return left


async def _unuse(dsn: str) -> None:
    """Clients with consents and no connection."""
    db = await asyncpg.connect(plain_url(dsn))
    await db.execute(
        "INSERT INTO clients (client_id, kind, client_name, redirect_uris, grant_types, token_endpoint_auth_method, metadata,"
        " created_at) SELECT 'idle_' || n, 'dynamic', 'Idle', '{}', '{}', 'none', '{}', now() - interval '2 days'"
        " FROM generate_series(1, 1000) n"
    )
    await db.close()


async def _leave(world: World, user_id: str) -> None:
    async with world.db.begin() as db:
        assert await remove(db, user_id, user_id, world.now(), lifetime=world.token_lifetime)

"""What has expired is deleted, in small batches, by one replica at a time; signing keys are rotated when they are due.

A round takes as long with a hundred million rows as with one: it looks at what an index finds, or at a part of the table.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.db.engine import is_unavailable
from app.metering.store import settle_overdue
from app.tokens.rotate import rotate_if_due
from app.traces.store import forget
from app.world import World

EVERY_SECONDS = 60.0
ROUND_SECONDS = 30.0  # after which the next round goes on
BATCH = 1000
ONE_AT_A_TIME = 0x67617465 + 2
# Table, and what may go: never a client with a connection or one that is blocked, never a connection before its tokens
# are forgotten, never a document's client that was removed, since its document would bring it back.
NOW = "CAST(:now AS timestamptz)"
EXPIRED = {
    "codes": f"expires_at < {NOW} - interval '1 day'",
    "device_codes": f"expires_at < {NOW} - interval '1 hour'",
    "browser_sessions": "expires_at < :now",
    "remembered_devices": "expires_at < :now",
    "upstream_flows": f"expires_at < {NOW} - interval '1 hour'",
    "one_time_links": f"expires_at < {NOW} - interval '7 days'",
    "invitations": f"expires_at < {NOW} - interval '30 days'",
    "revocations": "expires_at < :now",
    "used_once": "expires_at < :now",
    "rate_counters": "resets_at < :now",
    "connections": f"expires_at < {NOW} - interval '7 days' OR revoked_at < {NOW} - interval '7 days'",
    "tool_calls": f"day < ({NOW} - interval '400 days')::date",
    # Sessions that spent something stay as long as the ledger, which says by them whose project it was.
    "agent_sessions": f"expires_at < {NOW} - interval '7 days' AND (expires_at < {NOW} - interval '400 days' "
    "OR NOT EXISTS (SELECT FROM charges c WHERE c.budget_id = agent_sessions.id))",
    "charge_denials": f"day < ({NOW} - interval '400 days')::date",
    "charges": f"at < {NOW} - interval '400 days'",
    "budgets": f"kind = 'agent' AND expires_at < {NOW} - interval '7 days' AND (expires_at < {NOW} - interval '400 days' "
    "OR NOT EXISTS (SELECT FROM charges c WHERE c.budget_id = budgets.id))",
    "payments": f"closed_at < {NOW} - interval '1 day' OR created_at < {NOW} - interval '400 days'",
    "settlements": f"created_at < {NOW} - interval '400 days'",
    "pretend_invoices": f"expires_at < {NOW} - interval '7 days'",
    "signing_keys": f"verifies_until < {NOW} - interval '1 day'",
    "clients": "kind <> 'static' AND blocked_at IS NULL AND ("
    f"(last_used_at IS NULL AND created_at < {NOW} - interval '1 day') OR last_used_at < {NOW} - interval '90 days') "
    "AND NOT EXISTS (SELECT FROM connections c WHERE c.client_id = clients.client_id) "
    "AND (kind <> 'document' OR revoked_at IS NULL)",
}
RECORDED = {"signing_keys": "kid", "clients": "client_id"}  # in the audit log, which is swept itself (audit_days)
# Where an index on what expires would cost every sign-in, every new connection and every use of a client: a round looks at one
# part, of so many blocks of 8 KB, so that all have been looked at after as many minutes as there are parts, more or less.
IN_PARTS = ("browser_sessions", "clients", "connections", "payments", "rate_counters")
PART = 4096
log = structlog.get_logger("gatehouse.sweep")


async def sweep(world: World, now: datetime) -> dict[str, int]:
    """How many rows went, by table; nothing when another replica is at it."""
    gone, waiting = Counter[str](), [*EXPIRED, "trace_steps", "audit_events"]
    loop = asyncio.get_running_loop()
    until = loop.time() + ROUND_SECONDS
    async with world.db.begin() as db:
        parts = {table: await _part(db, table) for table in IN_PARTS}
    while waiting and loop.time() < until:
        full = []
        for table in waiting:
            async with world.db.begin() as db:
                mine = await db.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
                if not mine.scalar():
                    return dict(+gone)
                count = await _batch(db, table, parts.get(table, ""), world, now)
            gone[table] += count
            if count == BATCH:  # and there may be more
                full.append(table)
        waiting = full
    return dict(+gone)


async def _part(db: AsyncConnection, table: str) -> str:
    """SQL for one part of a table, whichever; of a small one, for all of it."""
    blocks = (await db.execute(text(f"SELECT pg_relation_size('{table}') / 8192"))).scalar_one()
    parts = blocks // PART + 1
    if parts == 1:
        return ""
    first = random.randrange(parts) * PART  # noqa: S311
    return f"ctid >= '({first},0)' AND ctid < '({first + PART},0)' AND "


async def _batch(db: AsyncConnection, table: str, part: str, world: World, now: datetime) -> int:
    """How many rows went."""
    if table == "trace_steps":
        return await forget(db, world.settings.trace_days, now)
    if table == "audit_events":
        return await audit.forget(db, world.settings.audit_days, now)
    batch = f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} WHERE {part}({EXPIRED[table]}) LIMIT {BATCH})"
    if table in RECORDED:
        return await _recorded(db, table, batch, now)
    return (await db.execute(text(batch), {"now": now})).rowcount


async def _recorded(db: AsyncConnection, table: str, batch: str, now: datetime) -> int:
    """Keys by their names; of clients, which may be a thousand, how many."""
    names = [row[0] for row in await db.execute(text(f"{batch} RETURNING {RECORDED[table]}"), {"now": now})]
    if names and table == "signing_keys":
        await audit.record(db, "signing_key.deleted", now, keys=names)
    elif names:
        await audit.record(db, "client.swept", now, count=len(names))
    return len(names)


async def swept(world: World) -> None:
    """One round, with its log line and its numbers. Raises nothing: the next round comes."""
    measures = world.measures
    try:
        gone = await sweep(world, world.now())
        await rotate_if_due(world.db, world.secrets.signing_keys, world.now(), lifetime=world.token_lifetime)
        await settle_overdue(world.pool, world.now())
    except Exception as fault:
        measures.count("gatehouse_sweeps_total", "failed")
        if not is_unavailable(fault):
            log.error("sweep failed", exc_info=fault)
        return
    measures.count("gatehouse_sweeps_total", "done")
    for table, rows in gone.items():
        measures.counts["gatehouse_swept_total", table] += rows
    if gone:
        log.info("swept", **gone)


async def keep_sweeping(world: World) -> None:
    """Runs until cancelled."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        await swept(world)

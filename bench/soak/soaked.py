"""`python -m bench.soak.soaked serve …`: the `gatehouse` command, for which days are minutes: so that within an hour rows come and go.

What differs: the sweep comes every ten seconds and keeps nothing for longer than some minutes; what is remembered in memory is
bounded at a thousand, so that the bounds are reached before the hour begins to count; and /metrics says how large it is.
"""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from app import audit, measures, remembered
from app.agents import confirm
from app.cli import run
from app.gate import known
from app.measures import Key, gauge
from app.operate import metrics, sweep
from app.traces import recording
from app.work import pressure
from app.world import World

KEPT = timedelta(minutes=3)
LATER = {"1 hour": "20 seconds", "1 day": "1 minute", "7 days": "2 minutes", "30 days": "3 minutes"}
SHORTER = LATER | {"90 days": "3 minutes", "400 days": "4 minutes"}
AT_ONCE = {
    "tool_calls": "NOT EXISTS (SELECT FROM clients c WHERE c.client_id = tool_calls.client_id)",
    "remembered_devices": f"created_at < {sweep.NOW} - interval '3 minutes'",
    "charge_denials": "NOT EXISTS (SELECT FROM budgets b WHERE b.id = charge_denials.budget_id)",
    "pretend_invoices": "NOT EXISTS (SELECT FROM payments p WHERE p.payment_hash = pretend_invoices.payment_hash)",
}
MOST = 1000
SIZE = "gatehouse_soak_size"


def hurry() -> None:
    sweep.EVERY_SECONDS = 10.0
    for table, expired in sweep.EXPIRED.items():
        shorter = re.sub(r"interval '([^']+)'", lambda found: f"interval '{SHORTER[found[1]]}'", expired)
        sweep.EXPIRED[table] = AT_ONCE.get(table, shorter)
    for module in (sweep, audit):
        forget: Any = module.forget
        module.forget = _early(forget)  # type: ignore[attr-defined]
    vars(confirm).update(WORK_LIFE=KEPT, PAID_LIFE=KEPT)
    known.REMEMBERED = pressure.REMEMBERED = recording.REMEMBERED = remembered.MOST = MOST


def _early(forget: Any) -> Any:
    async def forgotten(db: Any, days: int, now: datetime) -> int:
        count: int = await forget(db, days, now + timedelta(days=days) - KEPT)
        return count

    return forgotten


def looked_up(world: World) -> Iterable[tuple[Key, float]]:
    """What /metrics says besides: everything in this process that has a length."""
    yield from LEVELS(world)
    sizes = {
        "tasks": len(asyncio.all_tasks()),
        "objects": len(gc.get_objects()),
        "clients": len(world.clients._clients),
        "steps": len(world.traces._waiting),
        "news": len(world.traces._news),
        "uses": sum(map(len, world.last_used._seen.values())),
        "calls": len(world.tally._counts) + len(world.tally._denials),
        "bodies": len(world.bodies._awaited),
        "counters": len(world.measures.counts) + len(world.measures.times),
    }
    for what, size in sizes.items():
        yield (SIZE, what), size


LEVELS = metrics.levels

if __name__ == "__main__":
    hurry()
    metrics.levels = looked_up
    measures.CATALOG[SIZE] = gauge("Of what is kept in memory.", "what")
    run()

"""What a request may touch, handed to every endpoint; nothing is configured at import, and nobody else calls the clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.bodies import Bodies
from app.db.engine import HotPool, engine, pool
from app.last_used import LastUsed
from app.outside.fetch import Outside
from app.outside.key_sets import KeySets
from app.settings import Settings
from app.tally import Tally
from app.tokens.live import Live
from app.tokens.secrets import Secrets
from app.traces.recording import Traces


@dataclass(frozen=True, slots=True)
class World:
    """One per process."""

    settings: Settings
    secrets: Secrets
    db: AsyncEngine
    pool: HotPool
    live: Live
    last_used: LastUsed
    tally: Tally
    traces: Traces
    bodies: Bodies
    outside: Outside
    key_sets: KeySets
    hashing: asyncio.Semaphore  # as many password hashes at once as there are processors
    now: Callable[[], datetime]

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(seconds=self.settings.access_token_lifetime)


@asynccontextmanager
async def world_of(settings: Settings, now: Callable[[], datetime]) -> AsyncIterator[World]:
    """The connections of a process, opened and closed. Raises the database's errors and Unsealable."""
    secrets = Secrets.of(tuple(key.get_secret_value() for key in settings.secret_key))
    db = engine(settings.dsn, settings.pool_size)
    try:
        hot = await pool(settings.dsn, settings.pool_size)
        live = Live(db, hot, secrets.signing_keys, now)
        slots = asyncio.Semaphore(max(2, os.cpu_count() or 2))
        outside = Outside(loopback=settings.is_loopback, ca_file=settings.ca_file)
        traces = Traces(hot, secrets.traces.mac, on=settings.trace_days > 0)
        last_used, tally, bodies, keys = LastUsed(hot), Tally(hot), Bodies(), KeySets(outside)
        yield World(settings, secrets, db, hot, live, last_used, tally, traces, bodies, outside, keys, slots, now)
        outside.close()
        await asyncio.wait_for(hot.close(), 5)
    finally:
        await db.dispose()

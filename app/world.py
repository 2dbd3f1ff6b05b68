"""What a request may touch, handed to every endpoint; nothing is configured at import, and nobody else calls the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.bodies import Bodies
from app.db.engine import HotPool, engine, pool
from app.hashing import Hashing, slots
from app.last_used import LastUsed
from app.mail import Post
from app.measures import Measures
from app.outside.fetch import Outside
from app.outside.issuers import Issuers
from app.outside.key_sets import KeySets
from app.replay import BEGINNING, epoch
from app.resources.listed import Listed
from app.resources.served import Resources
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
    issuers: Issuers
    post: Post
    hashing: Hashing
    now: Callable[[], datetime]
    listed: Listed
    epoch: datetime  # nothing older that is good once is good: the last restore from a backup
    leaving: asyncio.Event  # set when this process is about to stop: balancers are told so first
    measures: Measures

    @property
    def resources(self) -> Resources:
        """Those served at this moment."""
        return self.listed.now

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(seconds=self.settings.access_token_lifetime)


@asynccontextmanager
async def world_of(settings: Settings, now: Callable[[], datetime]) -> AsyncIterator[World]:
    """The connections of a process, opened and closed. Raises the database's errors Unsealable and ResourcesError."""
    listed = Listed(settings)
    db = engine(settings.dsn, settings.pool_size)
    try:
        hot = await pool(settings.dsn, settings.pool_size)
        since = await epoch(hot)
        texts = tuple(key.get_secret_value() for key in settings.secret_key)
        secrets = Secrets.of(texts, "" if since == BEGINNING else since.isoformat())
        measures = Measures()
        live = Live(db, hot, secrets.signing_keys, now, measures)
        hashing = Hashing(slots())
        outside = Outside(loopback=settings.is_loopback, ca_file=settings.ca_file)
        key_sets = KeySets(outside)
        issuers = Issuers(outside, key_sets)
        traces = Traces(hot, secrets.traces.mac, on=settings.trace_days > 0)
        last_used, tally, bodies, post = LastUsed(hot), Tally(hot), Bodies(), Post(settings, now)
        outward = (outside, key_sets, issuers, post)
        kept = (secrets, db, hot, live, last_used, tally, traces, bodies)
        yield World(
            settings, *kept, *outward, hashing, now, listed, epoch=since, leaving=asyncio.Event(), measures=measures
        )
        outside.close()
        hashing.close()
        await asyncio.wait_for(hot.close(), 5)
    finally:
        await db.dispose()

"""What a request may touch, handed to every endpoint; nothing is configured at import, and nobody else calls the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.bodies import Bodies
from app.db.engine import HotPool, engine, pool
from app.hashing import Hashing, slots
from app.later.last_used import LastUsed
from app.later.tally import Tally
from app.lightning.node import Node
from app.lightning.opened import node_of
from app.mail import Post
from app.measures import Measures
from app.outside.fetch import Outside
from app.outside.issuers import Issuers
from app.outside.key_sets import KeySets
from app.providers.live import Providers
from app.remembered import Remembered
from app.replay import BEGINNING, epoch
from app.resources.listed import Listed
from app.resources.served import Resources
from app.settings.read import Settings
from app.tokens.live import Live
from app.tokens.secrets import Secrets
from app.traces.recording import Traces

GOODBYE_SECONDS = 5.0  # to a database that may not hear it


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
    lightning: Node | None  # where sats are paid; None: nowhere
    providers: Providers
    hashing: Hashing
    now: Callable[[], datetime]
    listed: Listed
    epoch: datetime  # nothing older that is good once is good: the last restore from a backup
    leaving: asyncio.Event  # set when this process is about to stop: balancers are told so first
    measures: Measures
    clients: Remembered = field(default_factory=Remembered)

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
    pooled = settings.direct_database_url is not None
    async with AsyncExitStack() as stack:
        db = engine(settings.dsn, settings.pool_size, pooled=pooled)
        stack.push_async_callback(_goodbye, db)
        hot = await pool(settings.dsn, settings.pool_size, pooled=pooled)
        stack.push_async_callback(hot.close)
        since = await epoch(hot)
        texts = tuple(key.get_secret_value() for key in settings.secret_key)
        secrets = Secrets.of(texts, "" if since == BEGINNING else since.isoformat())
        measures = Measures()
        live = Live(db, hot, secrets.signing_keys, now, measures)
        await live.time()  # before anything is dated
        hashing = Hashing(slots())
        stack.callback(hashing.close)
        outside = Outside(loopback=settings.is_loopback, ca_file=settings.ca_file)
        stack.callback(outside.close)
        key_sets = KeySets(outside)
        issuers = Issuers(outside, key_sets)
        traces = Traces(hot, secrets.traces.mac, on=settings.trace_days > 0)
        last_used, tally, bodies, post = LastUsed(hot), Tally(hot), Bodies(), Post(settings, now)
        url = settings.lightning_url.get_secret_value() if settings.lightning_url else None
        lightning = node_of(url, hot, now)
        if lightning is not None:
            stack.push_async_callback(lightning.close)
        providers = Providers(settings.given_providers, db, secrets.provider_secrets, outside)
        outward = (outside, key_sets, issuers, post, lightning, providers)
        kept = (secrets, db, hot, live, last_used, tally, traces, bodies)
        yield World(
            settings, *kept, *outward, hashing, now, listed, epoch=since, leaving=asyncio.Event(), measures=measures
        )


async def _goodbye(db: AsyncEngine) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await db.dispose()

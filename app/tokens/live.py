"""What each process keeps in memory and the database keeps true: the key ring and the revocations, by LISTEN with a poll behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app.clock import Clock
from app.db.engine import CONNECT_SECONDS, HotPool, is_unavailable, plain_url
from app.measures import Measures
from app.protocol.types import Principal
from app.tokens import store
from app.tokens.keyring import KeyRing
from app.tokens.revoked import Revocations
from app.tokens.secrets import Purpose
from app.tokens.verify import Audiences, UnknownKey, verify

POLL_SECONDS = 1.0
KEYS_EVERY = timedelta(seconds=60)
_LONG_AGO, _OPEN = datetime.fromtimestamp(0, UTC), datetime(9000, 1, 1, tzinfo=UTC)
_NEVER = (_LONG_AGO, _LONG_AGO)
OVERLAP = timedelta(seconds=60)  # longer than any transaction may last, so that none commits behind the watermark
LATELY = timedelta(seconds=2)  # as far back as one looks for whoever has just said something: as long as most last

log = structlog.get_logger("gatehouse.live")


class Live:
    """The ring and the revocations of this process."""

    def __init__(
        self, db: AsyncEngine, pool: HotPool, purpose: Purpose, now: Callable[[], datetime], measures: Measures
    ) -> None:
        self._db, self._pool, self._purpose, self._now, self._measures = db, pool, purpose, now, measures
        self._asked_at = datetime.fromtimestamp(0, UTC)
        self._keys_at = datetime.fromtimestamp(0, UTC)
        self._wake = asyncio.Event()
        self._away = _NEVER  # from when to when the database was away last; the end is far off while it is
        self.ring = KeyRing(())
        self.revocations = Revocations()

    async def load_keys(self) -> None:
        """Raises Unsealable and the database's errors."""
        async with self._db.connect() as db:
            self.ring = await store.keyring(db, self._purpose)
        self._keys_at = self._now()

    async def look_for_new_keys(self) -> None:
        """For a token whose key is unknown: at most one look a second, whoever sends what."""
        if self._now() - self._keys_at > timedelta(seconds=1):
            await self.load_keys()

    async def verified(self, token: str, issuer: str, audiences: Audiences, now: datetime) -> Principal:
        """As `verify`; when the key is unknown, after a look for one that another replica has just made."""
        try:
            return verify(token, self.ring, issuer, audiences, now)
        except UnknownKey:
            await self.look_for_new_keys()
            return verify(token, self.ring, issuer, audiences, now)

    async def catch_up(self) -> None:
        """Learns every revocation since the last look. Raises the database's errors."""
        await self._catch_up(self._pool, OVERLAP)

    async def _catch_up(self, asked: HotPool | asyncpg.Connection, overlap: timedelta) -> None:
        started, asked_at = await self.time(asked)
        is_first = not self.revocations.as_of
        for handle, revoked_at, expires_at, ago in await store.revoked_since(asked, self._asked_at - overlap):
            if self.revocations.add(handle, revoked_at, expires_at) and not is_first:
                self._measures.time(ago, "gatehouse_revocation_lag_seconds")
        self._asked_at = asked_at
        self.revocations.as_of = started.timestamp()

    def grace(self, usual: timedelta, now: datetime) -> timedelta:
        """How far back a refresh may lie that is repeated. An answer may have been lost with the database, and nobody could ask
        for it again while that was away: so that time is not counted."""
        since, until = self._away
        return max(usual, now - since + usual) if since <= now <= until + usual else usual

    async def time(self, asked: HotPool | asyncpg.Connection | None = None) -> tuple[datetime, datetime]:
        """Ours, and the database's, after which ours is set: but for one that the caller brought."""
        started = self._now()
        database = await store.clock(asked or self._pool)
        if isinstance(self._now, Clock):
            started += self._now.hear(database, started, self._now())
        return started, database

    async def follow(self, database_url: str) -> None:
        """Runs until cancelled; a lost database is tried again every second while the guard counts how old its knowledge is."""
        while True:
            try:
                await self._follow_one_connection(database_url)
            except Exception as fault:
                if is_unavailable(fault):
                    log.warning("database away", error=type(fault).__name__)
                else:
                    log.error("the database's news not understood", exc_info=fault)
                self._missed()
                await asyncio.sleep(POLL_SECONDS)

    async def _follow_one_connection(self, database_url: str) -> None:
        """Asks over the connection that listens: so it is known to hear, and need not wait where all others are taken."""
        connection = await asyncpg.connect(plain_url(database_url), timeout=CONNECT_SECONDS)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.add_listener(store.CHANNEL, self._heard)
            self._keys_at = datetime.fromtimestamp(0, UTC)  # what was said while nobody listened
            loop, looked_back = asyncio.get_running_loop(), 0.0
            while True:
                self._wake.clear()
                # Far back once a second: where many are revoked, each word of it would have all of a minute read again.
                is_due = loop.time() - looked_back >= POLL_SECONDS
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._catch_up(connection, OVERLAP if is_due else LATELY)
                looked_back = loop.time() if is_due else looked_back
                self._back()
                if self._now() - self._keys_at > KEYS_EVERY:
                    await self.load_keys()
                    self.revocations.forget_expired(self._now())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), max(0.0, looked_back + POLL_SECONDS - loop.time()))
        finally:
            connection.terminate()

    def _missed(self) -> None:
        if self._away[1] != _OPEN:
            self._away = (datetime.fromtimestamp(self.revocations.as_of, UTC), _OPEN)

    def _back(self) -> None:
        if self._away[1] == _OPEN:
            self._away = (self._away[0], self._now())
            log.info("database back", away=round((self._away[1] - self._away[0]).total_seconds(), 1))

    def _heard(self, connection: object, pid: int, channel: str, payload: object) -> None:
        if payload == "keys":
            self._keys_at = datetime.fromtimestamp(0, UTC)
        self._wake.set()

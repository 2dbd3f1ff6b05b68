"""Signing keys come, overlap and go without one failed verification (RFC 7517 §5, design §5)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import audit
from app.tokens import store
from app.tokens.keyring import ALGORITHMS, PUBLISHED_BEFORE, KeyRing, SigningKey, new_key
from app.tokens.secrets import Purpose

ROTATE_AFTER = timedelta(days=90)


async def ensure_key(engine: AsyncEngine, purpose: Purpose, now: datetime, *, lifetime: timedelta) -> None:
    """Makes the first key of each algorithm, which signs at once; does nothing when there is one. Raises Unsealable."""
    await _add_where(engine, purpose, now, now, None, lifetime=lifetime)


async def rotate(
    engine: AsyncEngine, purpose: Purpose, now: datetime, *, lifetime: timedelta, at_once: bool = False
) -> list[SigningKey]:
    """Publishes a new key of each algorithm now; they sign once every cache has them; `at_once` skips the wait."""
    signs_from = now if at_once else now + PUBLISHED_BEFORE
    keys = [await _made(algorithm, now, signs_from) for algorithm in ALGORITHMS]
    async with engine.begin() as db:
        await store.lock_keys(db)
        for key in keys:
            await _publish(db, key, purpose, now, lifetime=lifetime)
    return keys


async def rotate_if_due(engine: AsyncEngine, purpose: Purpose, now: datetime, *, lifetime: timedelta) -> None:
    """For the sweeper: one replica makes the successor of a key older than ROTATE_AFTER."""
    await _add_where(engine, purpose, now, now + PUBLISHED_BEFORE, now - ROTATE_AFTER, lifetime=lifetime)


async def _add_where(
    engine: AsyncEngine,
    purpose: Purpose,
    now: datetime,
    signs_from: datetime,
    older_than: datetime | None,
    *,
    lifetime: timedelta,
) -> None:
    """A key for each algorithm that has none, or whose youngest signs since before `older_than`. It is made outside of
    the transaction that publishes it, and thrown away when another replica was first."""
    async with engine.connect() as db:
        ring = await store.keyring(db, purpose)
    for algorithm in ALGORITHMS:
        if _is_fresh(ring, algorithm, older_than):
            continue
        key = await _made(algorithm, now, signs_from)
        async with engine.begin() as db:
            await store.lock_keys(db)
            if not _is_fresh(await store.keyring(db, purpose), algorithm, older_than):
                await _publish(db, key, purpose, now, lifetime=lifetime)


async def _publish(
    db: AsyncConnection, key: SigningKey, purpose: Purpose, now: datetime, *, lifetime: timedelta
) -> None:
    await store.add_key(db, key, purpose, lifetime=lifetime)
    signs_from = key.signs_from.isoformat(timespec="seconds")
    await audit.record(db, "signing_key.published", now, key=key.kid, algorithm=key.algorithm, signs_from=signs_from)


def _is_fresh(ring: KeyRing, algorithm: str, older_than: datetime | None) -> bool:
    youngest = ring.youngest(algorithm)
    return youngest is not None and (older_than is None or youngest.signs_from >= older_than)


async def _made(algorithm: str, now: datetime, signs_from: datetime) -> SigningKey:
    return await asyncio.to_thread(new_key, algorithm, now, signs_from)

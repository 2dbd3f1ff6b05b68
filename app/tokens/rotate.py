"""Signing keys come, overlap and go without one failed verification (RFC 7517 §5, design §5)."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.tokens import store
from app.tokens.keyring import PUBLISHED_BEFORE, SigningKey, new_key
from app.tokens.secrets import Purpose

ROTATE_AFTER = timedelta(days=90)


async def ensure_key(engine: AsyncEngine, purpose: Purpose, now: datetime, *, lifetime: timedelta) -> None:
    """Makes the first key, which signs at once; does nothing when there is one. Raises Unsealable."""
    async with engine.begin() as db:
        await store.lock_keys(db)
        if not (await store.keyring(db, purpose)).keys:
            await store.add_key(db, new_key(now, now), purpose, lifetime=lifetime)


async def rotate(
    engine: AsyncEngine, purpose: Purpose, now: datetime, *, lifetime: timedelta, at_once: bool = False
) -> SigningKey:
    """Publishes a new key now that signs once every cache has it; `at_once` skips the wait."""
    key = new_key(now, now if at_once else now + PUBLISHED_BEFORE)
    async with engine.begin() as db:
        await store.lock_keys(db)
        await store.add_key(db, key, purpose, lifetime=lifetime)
    return key


async def rotate_if_due(engine: AsyncEngine, purpose: Purpose, now: datetime, *, lifetime: timedelta) -> None:
    """For the sweeper: one replica makes the successor of a key older than ROTATE_AFTER."""
    async with engine.begin() as db:
        await store.lock_keys(db)
        ring = await store.keyring(db, purpose)
        if max(key.signs_from for key in ring.keys) + ROTATE_AFTER < now:
            await store.add_key(db, new_key(now, now + PUBLISHED_BEFORE), purpose, lifetime=lifetime)

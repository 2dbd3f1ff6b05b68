"""Passwords: Argon2id in a thread, a few at a time, so that logins never stall /mcp (RFC 9106, NIST SP 800-63B-4 §3.1.1)."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.hashing import Hashing
from app.protocol.errors import TemporarilyUnavailable

SHORTEST, LONGEST = 15, 256  # characters
QUEUE_SECONDS = 5.0
HASHER = PasswordHasher(
    time_cost=2, memory_cost=19 * 1024, parallelism=1
)  # OWASP's floor; with more, 30 logins a second fill two cores


@asynccontextmanager
async def _a_slot(slots: asyncio.Semaphore) -> AsyncIterator[None]:
    """Whoever waits longer than QUEUE_SECONDS is asked to come again."""
    try:
        await asyncio.wait_for(slots.acquire(), QUEUE_SECONDS)
    except TimeoutError as fault:
        raise TemporarilyUnavailable("too many people sign in at once; try again", retry_after=2) from fault
    try:
        yield
    finally:
        slots.release()


def fault(password: str) -> str | None:
    """What is wrong with a new password, as a sentence, or None."""
    length = len(normal(password))
    if length < SHORTEST:
        return f"The password needs at least {SHORTEST} characters. A few words make a good one."
    if length > LONGEST:
        return f"The password may have at most {LONGEST} characters."
    if len(set(password)) < 4:
        return "This password would be guessed at once. A few words make a good one."
    return None


def normal(password: str) -> str:
    """NFC, so that the same keys mean the same password on every system."""
    return unicodedata.normalize("NFC", password)


async def hashed(password: str, slots: Hashing) -> str:
    """The Argon2id hash to store. Raises TemporarilyUnavailable."""
    async with _a_slot(slots):
        return await slots.run(HASHER.hash, normal(password).encode())


async def matches(stored: str | None, password: str, slots: Hashing) -> bool:
    """Whether the password fits; takes as long when there is no such user, so that time tells nothing."""
    if len(password) > LONGEST * 4:
        return False
    async with _a_slot(slots):
        return await slots.run(_verify, stored or _nobody(), normal(password).encode()) and stored is not None


def needs_rehash(stored: str) -> bool:
    """True when it was made with other parameters than today's."""
    return HASHER.check_needs_rehash(stored)


@cache
def _nobody() -> str:
    return HASHER.hash(os.urandom(16))


def _verify(stored: str, password: bytes) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False

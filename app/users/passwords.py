"""Passwords: Argon2id in a thread, a few at a time, so that logins never stall /mcp (RFC 9106, NIST SP 800-63B-4 §3.1.1)."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.hashing import Hashing
from app.language.catalogs import N_, _
from app.protocol.errors import TemporarilyUnavailable
from app.users.strength import strength

SHORTEST, LONGEST = 15, 256  # characters
TOO_SHORT = N_("The password needs at least %(number)d characters. A few words make a good one.")
TOO_LONG = N_("The password may have at most %(number)d characters.")
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


@dataclass(frozen=True, slots=True)
class Judged:
    """`fault` says what is wrong with a new password, None that it will do; `score` is zxcvbn's 0 to 4."""

    fault: str | None
    score: int | None = None
    reasons: tuple[str, ...] = ()


def judge(password: str, about: Collection[str] = ()) -> Judged:
    """A new password; `about` is what is known of its owner and the site. There are no rules of composition."""
    text = normal(password)
    if len(text) < SHORTEST:
        return Judged(_(TOO_SHORT) % {"number": SHORTEST})
    if len(text) > LONGEST:
        return Judged(_(TOO_LONG) % {"number": LONGEST})
    found = strength(text, about)
    return Judged(found.fault, found.score, found.reasons)


def fault(password: str, about: Collection[str] = ()) -> str | None:
    """The same as sentences in a row, or None, for a terminal."""
    judged = judge(password, about)
    return " ".join([judged.fault, *judged.reasons]) if judged.fault else None


async def judged(password: str, about: Collection[str], slots: asyncio.Semaphore) -> Judged:
    """The same beside everything else. Raises TemporarilyUnavailable."""
    if not SHORTEST <= len(password) <= LONGEST * 4:
        return judge(password[: LONGEST * 4])
    async with _a_slot(slots):
        return await asyncio.to_thread(judge, password, about)


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

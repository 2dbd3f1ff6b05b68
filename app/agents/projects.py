"""Projects: whose public key agents come with, and what their sessions may do; made and revoked by the operator."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.agents import store
from app.agents.store import Project
from app.metering.budgets import end
from app.metering.model import MOST_SATS
from app.protocol.errors import InvalidRequest
from app.protocol.scope import ADMIN, API_KEYS, DEFAULT, words_of
from app.resources.model import Resource
from app.tokens.store import revoke
from app.work.challenge import LEAST_BITS, MOST_BITS

PREFIX = "la_pk_"  # the seed's
# With 24 more the key, a colon and the challenge before the nonce are 64 bytes: exactly what SHA-256 takes at a time.
KEY_CHARACTERS = 24
MOST_NAME, MOST_CALLS = 100, 1_000_000
MAY_HAVE = frozenset(DEFAULT)


def may_have(resource: Resource) -> frozenset[str]:
    """What a project's agents may be given there: they have no account to make keys for, or to administer."""
    return frozenset(resource.scopes) - {API_KEYS, ADMIN}


def new_project(
    name: str,
    now: datetime,
    *,
    scope: str = "read",
    allowance_sats: int = 100,
    session_sats: int = 50,
    max_calls_per_minute: int = 60,
    bits_floor: int = 18,
    bits_ceiling: int = 20,
    scopes: frozenset[str] = MAY_HAVE,
) -> Project:
    """`scope` is made of `scopes`, as `may_have` says. Raises InvalidRequest for what cannot be."""
    title, wanted = name.strip(), words_of(scope)
    faults = {
        f"a name has 1 to {MOST_NAME} characters": not 0 < len(title) <= MOST_NAME or not title.isprintable(),
        f"the scope may be made of {' '.join(sorted(scopes))}": not wanted or not scopes.issuperset(wanted),
        "the allowance must be a number of sats": not 0 <= allowance_sats <= MOST_SATS,
        "the price must be a number of sats": not 0 < session_sats <= MOST_SATS,
        f"calls a minute must be 1 to {MOST_CALLS}": not 0 < max_calls_per_minute <= MOST_CALLS,
        f"bits must be {LEAST_BITS} to {MOST_BITS}, the fewest first": not (
            LEAST_BITS <= bits_floor <= bits_ceiling <= MOST_BITS
        ),
    }
    for fault, is_so in faults.items():
        if is_so:
            raise InvalidRequest(fault)
    key = PREFIX + secrets.token_hex(KEY_CHARACTERS // 2)
    sats = (allowance_sats, session_sats, max_calls_per_minute)
    return Project(str(uuid.uuid4()), key, title, tuple(wanted), *sats, bits_floor, bits_ceiling, now)


async def add(db: AsyncConnection, project: Project, now: datetime) -> bool:
    """False when another has this name."""
    if not await store.add_project(db, project):
        return False
    await audit.record(
        db, "project.created", now, client_id=project.id, name=project.name, scope=" ".join(project.scope)
    )
    return True


async def end_project(db: AsyncConnection, name: str, now: datetime, *, lifetime: timedelta) -> str | None:
    """By id or name: its sessions are over, their tokens void within a second; its id, or None when there is none."""
    ended = await store.revoke_project(db, name, now)
    if ended is None:
        return None
    project_id, sessions = ended
    await end(db, sessions, now)
    await revoke(db, [project_id], now, lifetime=lifetime)
    await audit.record(db, "project.revoked", now, client_id=project_id, sessions=len(sessions))
    return project_id

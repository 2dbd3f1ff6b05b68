"""Is all well, what is left to do, and the numbers that matter."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from app import __version__, audit
from app.admin.attempts.look import failures
from app.admin.overview import store
from app.admin.overview.store import Numbers
from app.admin.users.store import FACTORS, factors
from app.db.engine import is_unavailable
from app.db.migrate import is_current
from app.db.tables import metadata
from app.language.catalogs import N_
from app.selling.settlements.store import unknown
from app.tokens.store import clock
from app.world import World

SECONDS = 3.0
SKEW = timedelta(seconds=5)
QUIET = 5.0  # seconds since the database was last heard of
SECOND = {"passkey", "totp"}
REMIND = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that is as it should be, or what is wrong with it."""

    name: str
    well: bool
    said: str


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do once. `link` is where."""

    name: str
    title: str
    done: bool
    why: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page."""

    version: str
    checks: list[Check]
    tasks: list[Task]
    numbers: Numbers
    failed_attempts: int


async def overview(world: World, user_id: str, now: datetime) -> Overview:
    """Raises the database's errors."""
    checks = await health(world, now)
    async with world.db.connect() as db:
        numbers = await store.numbers(db, now)
        connected = await store.was_connected(db)
        backup = await store.backup_at(db)
        held, undecided = await factors(db, user_id), await unknown(db, now)
    tasks = _tasks(world, held, numbers, connected, backup, now)
    if undecided:
        why = N_(
            "The facilitator did not say whether they were made. Look on the chain; the page says what to do then."
        )
        there = "/admin/spending/settlements?state=unknown"
        tasks.append(Task("settlements", N_("Decide stablecoin payments"), False, why, there))
    return Overview(__version__, checks, tasks, numbers, await failures(world, now))


async def health(world: World, now: datetime) -> list[Check]:
    """Every check, well or not."""
    checks = []
    try:
        async with asyncio.timeout(SECONDS):
            skew = abs(await clock(world.pool) - now)
            async with world.db.connect() as db:
                current, swept = await is_current(db), await store.is_swept(db, now)
    except Exception as fault:
        if not is_unavailable(fault):
            raise
        return [Check("database", False, N_("The database does not answer."))]
    checks.append(Check("database", True, N_("The database answers.")))
    checks.append(
        _check("clock", skew < SKEW, N_("The clocks agree."), N_("The clocks of server and database differ."))
    )
    checks.append(_check("migrations", current, N_("The tables are up to date."), N_("Migrations are missing.")))
    checks.append(
        _check("keys", bool(world.live.ring.keys), N_("Keys to sign with are there."), N_("There is no key."))
    )
    heard = not world.live.revocations.is_stale(now.timestamp(), QUIET)
    well, badly = N_("Background work keeps up."), N_("Background work is behind: revocations or sweeping are late.")
    return [*checks, _check("background", heard and swept, well, badly)]


def _check(name: str, well: bool, words: str, otherwise: str) -> Check:
    return Check(name, well, words if well else otherwise)


def _tasks(
    world: World, held: tuple[str, ...], numbers: Numbers, connected: bool, backup: datetime | None, now: datetime
) -> list[Task]:
    settings = world.settings
    second = set(held) & SECOND
    tasks = []
    if len([name for name in FACTORS.values() if name in metadata.tables]) > 1:
        why = N_("A stolen password alone then opens nothing.")
        tasks.append(
            Task("second_factor", N_("Give your account a second factor"), bool(second), why, "/account/security")
        )
    why = N_("GATEHOUSE_PUBLIC_URL is for this computer only; apps elsewhere need an https address.")
    tasks.append(Task("https", N_("Be reachable by https"), settings.is_https, why, "/admin/settings"))
    why = N_("Without mail you hand out links for new passwords by hand, from a user's page.")
    tasks.append(Task("mail", N_("Set up mail"), settings.smtp_url is not None, why, "/admin/settings"))
    why = N_("The front page says how, for each app. Watch it arrive among the attempts.")
    tasks.append(Task("first_app", N_("Connect a first app"), connected, why, "/admin/attempts?follow=1"))
    why = N_("If you lose your way in, another admin can help you.")
    tasks.append(Task("second_admin", N_("Make a second admin"), numbers.admins > 1, why, "/admin/users"))
    why = N_("Of the database (pg_dump) and of the secret key, apart from one another. You are reminded every 90 days.")
    fresh = backup is not None and now - backup < REMIND
    return [*tasks, Task("backup", N_("Make a backup, and try to restore it"), fresh, why)]


async def confirm_backup(world: World, user_id: str, now: datetime) -> None:
    """An admin says that there is a backup: kept as a line of the audit log."""
    async with world.db.begin() as db:
        await audit.record(db, "backup.confirmed", now, user_id=user_id)

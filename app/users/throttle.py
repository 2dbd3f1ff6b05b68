"""How often a password may be tried: strangers wait longer and longer, known devices do not notice (OWASP device cookies).

Nobody is locked out of an account by what others guess: the attempts on one account from devices that it does not know
take turns, further and further apart. E-mails without an account are treated just so.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request

from app.limits import LOGIN_ACCOUNT, LOGIN_ADDRESS, LOGIN_DEVICE, LOGIN_STRANGERS, Rate, counted, forgive, hit, turn
from app.tokens.secrets import fingerprint
from app.users.devices.cookie import device
from app.users.devices.store import is_known
from app.web.http import client_address
from app.world import World

SHORTEST_GAP, LONGEST_GAP = timedelta(seconds=0.5), timedelta(seconds=4)
PATIENCE = timedelta(seconds=4)  # no connection is held for longer


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was counted for it, to be forgotten when the password was right."""

    counters: tuple[tuple[Rate, str], ...]


async def admit(request: Request, world: World, email: str | None, now: datetime) -> Attempt:
    """Returns when the password may be looked at. Raises TooManyRequests."""
    who = fingerprint(email or "").hex()  # the e-mail itself is not kept
    this = device(request, world)
    if this is not None and email is not None and await is_known(world.pool, this, email, now):
        here = f"{who}:{this.hex()}"
        await hit(world.pool, LOGIN_DEVICE, here, now)
        return Attempt(((LOGIN_DEVICE, here),))
    address = client_address(request, world.settings.trusted_proxies)
    await hit(world.pool, LOGIN_ADDRESS, address, now)
    await hit(world.pool, LOGIN_ACCOUNT, f"{who}:{address}", now)
    strangers = await counted(world.pool, LOGIN_STRANGERS, who, now)
    if strangers > LOGIN_STRANGERS.hits:
        wait = await turn(world.pool, LOGIN_STRANGERS, who, now, gap(strangers - LOGIN_STRANGERS.hits), PATIENCE)
        await asyncio.sleep(wait.total_seconds())
    return Attempt(((LOGIN_ACCOUNT, f"{who}:{address}"), (LOGIN_STRANGERS, who)))


def gap(over: int) -> timedelta:
    """How far apart the turns are after so many attempts too many: twice as far with each, up to LONGEST_GAP."""
    return min(SHORTEST_GAP * (1 << min(over - 1, 10)), LONGEST_GAP)


async def was_right(world: World, attempt: Attempt) -> None:
    await forgive(world.pool, *attempt.counters)

"""`gatehouse doctor`: configuration, database, migrations, keys, clock, metadata, and whether the public address answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx2
import typer
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from sqlalchemy import text

from app.cli.console import say
from app.cli.operating import operate
from app.oauth.grants import GRANTS
from app.protocol import metadata
from app.tokens import store
from app.world import World

SKEW = timedelta(seconds=5)
OLDEST_POSTGRES = 150000
Check = Callable[[World], Awaitable[str]]


class Unwell(Exception):
    """What is wrong and what to do about it."""


async def database(world: World) -> str:
    async with world.db.connect() as db:
        number = int((await db.execute(text("SHOW server_version_num"))).scalar_one())
        if number < OLDEST_POSTGRES:
            raise Unwell("Postgres is older than 15")
        return f"Postgres {(await db.execute(text('SHOW server_version'))).scalar_one()}, migrations applied"


async def keys(world: World) -> str:
    await world.live.load_keys()
    if not world.live.ring.keys:
        raise Unwell("there is no signing key yet; the first start makes one")
    return f"{len(world.live.ring.keys)} signing key(s), signing with {world.live.ring.signer(world.now()).kid}"


async def clock(world: World) -> str:
    skew = abs(await store.clock(world.pool) - world.now())
    if skew > SKEW:
        raise Unwell(f"this clock and the database's differ by {skew.total_seconds():.0f} s; run NTP on both")
    return f"within {skew.total_seconds() * 1000:.0f} ms of the database's"


async def documents(world: World) -> str:
    document = metadata.authorization_server(world.settings.issuer, list(GRANTS), documents=True)
    if world.settings.is_https:  # the validator knows no loopback exception
        AuthorizationServerMetadata(document).validate()
    return f"issuer {world.settings.issuer}, resource {world.settings.resource}"


async def address(world: World) -> str:
    """Asks from here, so a wrong DNS entry elsewhere stays unseen."""
    url = f"{world.settings.issuer}/.well-known/oauth-authorization-server"
    try:
        async with httpx2.AsyncClient(timeout=5) as http:
            answer = await http.get(url)
            issuer = answer.json().get("issuer") if answer.status_code == 200 else None
    except (httpx2.HTTPError, ValueError) as fault:
        raise Unwell(f"{url} does not answer ({type(fault).__name__}); is the server running?") from None
    if issuer != world.settings.issuer:
        raise Unwell(
            f"{url} answers {answer.status_code} with issuer {issuer}; GATEHOUSE_PUBLIC_URL must be that byte for byte"
        )
    return "answers with the right issuer"


CHECKS: dict[str, Check] = {
    "database": database,
    "keys": keys,
    "clock": clock,
    "metadata": documents,
    "address": address,
}


def doctor() -> None:
    """Look for what is wrong. Exit 1 when anything is."""

    async def work(world: World) -> dict[str, tuple[bool, str]]:
        found: dict[str, tuple[bool, str]] = {"configuration": (True, "read, every setting valid")}
        for name, check in CHECKS.items():
            try:
                found[name] = (True, await check(world))
            except (Unwell, ValueError) as fault:
                found[name] = (False, str(fault))
        return found

    results = operate(work)
    for name, (well, words) in results.items():
        say(f"{'ok  ' if well else 'FAIL'}  {name:<14} {words}")
    if not all(well for well, _ in results.values()):
        raise typer.Exit(1)

"""`gatehouse doctor`: this installation from inside; `gatehouse doctor URL`: any MCP server's front door from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import httpx2
import typer
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from sqlalchemy import text

from app.checkup import report
from app.checkup.examine import examine
from app.checkup.target import BadAddress, target
from app.cli.console import Json, Refused, say
from app.cli.operating import operate
from app.oauth.grants import offered
from app.oauth.well_known import offers
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
    document = metadata.authorization_server(
        world.settings.issuer, list(offered(world.settings)), documents=True, resources=offers(world)
    )
    if world.settings.is_https:  # the validator knows no loopback exception
        AuthorizationServerMetadata(document).validate()
    return f"issuer {world.settings.issuer}, resources {' '.join(world.resources.by_audience)}"


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


class Proxy(StrEnum):
    """Whose snippets are printed."""

    caddy = "caddy"
    nginx = "nginx"
    traefik = "traefik"
    cloudflare = "cloudflare"


Url = Annotated[str | None, typer.Argument(help="An MCP server's address, ours or another's; without it, this one.")]
Register = Annotated[bool, typer.Option("--register", help="Also register a client, which writes into the server.")]
Chosen = Annotated[Proxy | None, typer.Option(help="Print the snippets of this reverse proxy.")]
Origin = Annotated[str, typer.Option(help="The page that the CORS checks pretend to be.")]


def doctor(
    url: Url = None,
    register: Register = False,
    proxy: Chosen = None,
    origin: Origin = "http://localhost:6274",
    as_json: Json = False,
) -> None:
    """Look for what is wrong: here, or from outside at URL, which needs no configuration. Exit 1 when anything failed."""
    well = _inside(as_json) if url is None else _outside(url, register, str(proxy or ""), origin, as_json)
    if not well:
        raise typer.Exit(1)


def _outside(url: str, register: bool, proxy: str, origin: str, as_json: bool) -> bool:
    try:
        address = target(url)
        browser = target(f"{origin}/x").origin
    except BadAddress as fault:
        raise Refused(str(fault), 2) from None
    visit, findings = asyncio.run(examine(address, _now, browser=browser, register=register))
    if as_json:
        print(json.dumps(report.document(visit, findings, proxy), indent=2))
    else:
        for line in report.lines(visit, findings, proxy):
            say(line)
    return report.is_well(findings)


def _now() -> datetime:
    return datetime.now(UTC)


def _inside(as_json: bool) -> bool:
    async def work(world: World) -> dict[str, tuple[bool, str]]:
        found: dict[str, tuple[bool, str]] = {"configuration": (True, "read, every setting valid")}
        for name, check in CHECKS.items():
            try:
                found[name] = (True, await check(world))
            except (Unwell, ValueError) as fault:
                found[name] = (False, str(fault))
        return found

    results = operate(work)
    if as_json:
        rows = [{"check": n, "verdict": "passed" if well else "failed", "said": s} for n, (well, s) in results.items()]
        print(json.dumps({"well": all(well for well, _ in results.values()), "checks": rows}, indent=2))
    else:
        for name, (well, words) in results.items():
            say(f"{'ok  ' if well else 'FAIL'}  {name:<14} {words}")
    return all(well for well, _ in results.values())

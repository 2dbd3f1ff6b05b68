"""`gatehouse budget set|remove|list|ledger`: what API keys and connections may spend, and everything that was charged."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC
from typing import Annotated

import typer

from app.api_keys.keys import duration
from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.metering import budgets, store
from app.metering.model import AGENT, API_KEY, CONNECTION, MOST_SATS
from app.protocol.errors import OAuthError
from app.web.files import harmless
from app.world import World

commands = typer.Typer(name="budget", help="What callers may spend, in sats.", no_args_is_help=True)
MOST = 1000


@commands.command("set")
def set_budget(
    name: Annotated[str, typer.Argument(metavar="ID", help="Of an API key or a connection.")],
    allowance: Annotated[int, typer.Option(min=0, max=MOST_SATS, help="Sats a day.")],
    calls: Annotated[int, typer.Option(min=0, help="Priced calls a minute; 0: no limit.")] = 0,
) -> None:
    """Give an API key or a connection a budget, or another one."""

    async def work(world: World) -> str | None:
        async with world.db.begin() as db:
            most = calls or None
            return await budgets.give(db, name, world.now(), allowance_sats=allowance, max_calls_per_minute=most)

    kind = operate(work)
    if kind is None:
        raise Refused(f"there is no API key and no connection {name}")
    say(f"The {kind.replace('_', ' ')} {name} may spend {allowance} sats a day.")


@commands.command("remove")
def remove_budget(name: Annotated[str, typer.Argument(metavar="ID", help="Of an API key or a connection.")]) -> None:
    """Take a budget away; what was paid for stays, for when it is given one again."""

    async def work(world: World) -> bool:
        async with world.db.begin() as db:
            return await budgets.take_away(db, name, world.now())

    if not operate(work):
        raise Refused(f"there is no API key and no connection {name} with a budget")
    say(f"{name} has no budget any more.")


@commands.command("list")
def list_budgets(
    agents: Annotated[bool, typer.Option("--agents", help="Agents' sessions too.")] = False, as_json: Json = False
) -> None:
    """The newest thousand budgets, and what is left of them today."""
    kinds = [API_KEY, CONNECTION, *([AGENT] if agents else [])]

    async def work(world: World) -> list[dict[str, object]]:
        now = world.now()
        async with world.db.connect() as db:
            found = [budgets.budget(row, now) for row in await store.all_budgets(db, kinds, MOST)]
        return [
            {
                "id": budget.id,
                "kind": budget.kind,
                "a day": budget.allowance_sats,
                "funded": budget.funded_sats,
                "used today": budget.day_sats,
                "calls today": budget.day_calls,
                "left": budget.remaining_sats,
                "expires": budget.expires_at,
            }
            for budget in found
        ]

    show(operate(work), as_json=as_json, empty="No budgets yet.")


@commands.command("ledger")
def ledger(
    budget: Annotated[str, typer.Option(metavar="ID", help="One budget's only.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="How far back, such as 30d.")] = "30d",
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV in place of JSON, one object a line.")] = False,
) -> None:
    """Every charge, the oldest first, for whoever keeps the books."""
    try:
        back = duration(since)
    except OAuthError as refusal:
        raise Refused(refusal.description, 2) from None

    async def work(world: World) -> None:
        writer = csv.DictWriter(sys.stdout, store.LEDGER_COLUMNS, lineterminator="\n")
        if as_csv:
            writer.writeheader()
        async with world.db.connect() as db:
            async for row in store.ledger(db, world.now() - back, budget or None):
                plain = {**row, "at": row["at"].astimezone(UTC).isoformat().replace("+00:00", "Z")}
                if as_csv:
                    writer.writerow({name: harmless(value) for name, value in plain.items()})
                else:
                    print(json.dumps(plain))

    operate(work)

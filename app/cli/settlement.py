"""`gatehouse settlement list|settled|void`: stablecoin payments, and what the operator says of one whose outcome nobody knows."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated

import typer

from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.selling.settlements import store
from app.selling.settlements.model import STATES, UNKNOWN, Settlement
from app.world import World

commands = typer.Typer(name="settlement", help="Payments through the facilitator.", no_args_is_help=True)
MOST = 1000
Ident = Annotated[str, typer.Argument(metavar="ID", help="64 hexadecimal digits, from `list`.")]


@commands.command("list")
def list_settlements(
    state: Annotated[str, typer.Option(metavar="STATE", help=f"One of {', '.join(STATES)}; without: all.")] = "",
    as_json: Json = False,
) -> None:
    """The newest thousand, and how far each has come."""
    if state and state not in STATES:
        raise Refused(f"--state must be one of {', '.join(STATES)}", 2)

    async def work(world: World) -> list[Settlement]:
        async with world.db.connect() as db:
            return await store.page_of(db, state or None, None, world.now(), MOST - 1)

    rows = [asdict(row) for row in operate(work)]
    if not as_json:
        names = ("id", "state", "started_at", "sats", "amount", "payer", "transaction", "said")
        rows = [{name: row[name] for name in names} for row in rows]
    show(rows, as_json=as_json, empty="There are none.")


@commands.command("settled")
def settled(
    ident: Ident,
    transaction: Annotated[str, typer.Option(metavar="HASH", help="The transaction that paid it, on its chain.")],
) -> None:
    """It was paid: its payer gets what it was for by sending the same payment again."""
    if not re.fullmatch(r"[!-~]{1,200}", transaction):
        raise Refused("a transaction is up to 200 characters without spaces", 2)
    _decide(ident, transaction)
    say("Noted as settled. Who sends this payment again gets what it was for, once.")


@commands.command("void")
def void(ident: Ident) -> None:
    """It was not paid, or was taken back: nothing is ever given for it."""
    _decide(ident, None)
    say("Noted as void. Nothing is given for it.")


def _decide(ident: str, transaction: str | None) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", ident):
        raise Refused("an id is 64 hexadecimal digits, from `gatehouse settlement list`", 2)
    fingerprint = bytes.fromhex(ident)

    async def work(world: World) -> tuple[bool, Settlement | None]:
        async with world.db.begin() as db:
            decided = await store.decide(db, fingerprint, transaction, world.now())
            return decided, await store.told(db, fingerprint, world.now())

    decided, found = operate(work)
    if decided:
        return
    if found is None:
        raise Refused(f"there is no settlement {ident}")
    if found.state != UNKNOWN:
        raise Refused(f"it is {found.state.replace('_', ' ')}: there is nothing to decide")
    raise Refused("this transaction is that of another payment")

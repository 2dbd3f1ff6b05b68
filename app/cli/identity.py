"""`gatehouse identity add|list|remove`: what a trusted issuer calls the users of this server."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app import audit
from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.identities import store
from app.protocol.email import normal_email
from app.tokens.store import revoke
from app.users.store import by_email
from app.world import World

commands = typer.Typer(
    name="identity", help="What identity providers call the users of this server.", no_args_is_help=True
)
Issuer = Annotated[str, typer.Option("--issuer", metavar="URL", help="As in GATEHOUSE_TRUSTED_ISSUERS.")]
Subject = Annotated[str, typer.Option("--subject", metavar="SUB", help="The `sub` that it gives this person.")]


@commands.command("add")
def add(email: Annotated[str, typer.Argument(metavar="EMAIL")], issuer: Issuer, subject: Subject) -> None:
    """Say whom a subject means, for issuers that do not vouch for e-mail addresses."""

    async def work(world: World) -> str | None:
        now = world.now()
        async with world.db.begin() as db:
            user = await by_email(db, normal_email(email) or "")
            if user is None:
                return f"{email} has no account"
            if not await store.add(db, issuer, subject, user.id, now):
                return "this subject, or this user, has another counterpart already: see gatehouse identity list"
            await audit.record(db, "identity.bound", now, user_id=user.id, issuer=issuer, subject=subject)
        return None

    fault = operate(work)
    if fault:
        raise Refused(fault)
    say(f"{subject} of {issuer} is {email} here.")


@commands.command("list")
def list_identities(as_json: Json = False) -> None:
    """Every one, by account."""

    async def work(world: World) -> list[dict[str, Any]]:
        async with world.db.connect() as db:
            return await store.listed(db)

    show(operate(work), as_json=as_json, empty="Nobody is known by another name.")


@commands.command("remove")
def remove(issuer: Issuer, subject: Subject) -> None:
    """Forget whom a subject means. The user's access tokens end within a second; apps with a refresh token get new ones."""

    async def work(world: World) -> bool:
        now = world.now()
        async with world.db.begin() as db:
            user_id = await store.remove(db, issuer, subject)
            if user_id is not None:
                await revoke(db, [user_id], now, lifetime=world.token_lifetime, comes_back=True)
                await audit.record(db, "identity.removed", now, user_id=user_id, issuer=issuer, subject=subject)
        return user_id is not None

    if not operate(work):
        raise Refused("there is no such identity")
    say(f"{subject} of {issuer} is nobody here any more.")

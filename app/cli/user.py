"""`gatehouse user add|list|disable|enable|reset-password`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import audit
from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.protocol.email import normal_email
from app.users import accounts, passwords, store
from app.world import World

commands = typer.Typer(name="user", help="The people who may sign in.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(metavar="EMAIL")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def _password(from_stdin: bool) -> str | None:
    if not from_stdin:
        return None
    password = sys.stdin.readline().rstrip("\r\n")
    wrong = passwords.fault(password)
    if wrong:
        raise Refused(wrong, 2)
    return password


def _email(text: str) -> str:
    email = normal_email(text)
    if email is None:
        raise Refused(f"{text} is not an e-mail address", 2)
    return email


@commands.command("add")
def add(
    email: Email,
    admin: Annotated[bool, typer.Option("--admin", help="May administer this Gatehouse.")] = False,
    name: Annotated[str, typer.Option(help="How pages address them.")] = "",
    password_stdin: FromStdin = False,
) -> None:
    """Add somebody. Without --password-stdin it prints a one-time link where they choose a password."""
    address, password = _email(email), _password(password_stdin)

    async def work(world: World) -> str | None:
        hashed = await passwords.hashed(password, world.hashing) if password else None
        now = world.now()
        async with world.db.begin() as db:
            user = await accounts.create(db, address, name, hashed, now, is_admin=admin)
            code = await accounts.new_link(db, "password", user.id, now) if user and not hashed else None
        if user is None:
            raise Refused(f"{address} has an account already")
        return f"{world.settings.issuer}/password?code={code}" if code else None

    link = operate(work)
    say(f"Added {address}.")
    if link:
        say(f"They choose a password here, once, within a day: {link}")


@commands.command("list")
def list_users(as_json: Json = False) -> None:
    """Everybody who has an account."""

    async def work(world: World) -> list[store.User]:
        async with world.db.connect() as db:
            return await store.everybody(db)

    rows = [
        {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "admin": user.is_admin,
            "created": user.created_at,
            "disabled": user.disabled_at,
        }
        for user in operate(work)
    ]
    show(rows, as_json=as_json, empty="Nobody yet.")


@commands.command("disable")
def disable(email: Email) -> None:
    """Sign somebody out everywhere, end their tokens, and let nobody in by this account."""
    address = _email(email)

    async def work(world: World) -> str | None:
        async with world.db.begin() as db:
            return await accounts.disable(db, address, world.now(), lifetime=world.token_lifetime)

    if operate(work) is None:
        raise Refused(f"{address} has no account")
    say(f"{address} is disabled; their tokens end within a second.")


@commands.command("enable")
def enable(email: Email) -> None:
    """Let somebody in again. What they had connected works again with a new access token."""
    address = _email(email)

    async def work(world: World) -> str | None:
        async with world.db.begin() as db:
            user_id = await store.set_disabled(db, address, None)
            if user_id is not None:
                await audit.record(db, "user.enabled", world.now(), user_id=user_id)
            return user_id

    if operate(work) is None:
        raise Refused(f"{address} has no account")
    say(f"{address} is enabled.")


@commands.command("reset-password")
def reset_password(email: Email, password_stdin: FromStdin = False) -> None:
    """Set a password, or print a one-time link where they choose one; every browser is signed out."""
    address, password = _email(email), _password(password_stdin)

    async def work(world: World) -> str | None:
        hashed = await passwords.hashed(password, world.hashing) if password else None
        now, code = world.now(), None
        async with world.db.begin() as db:
            user = await store.by_email(db, address)
            if user and hashed:
                await accounts.change_password(db, user.id, hashed, now)
            elif user:
                code = await accounts.new_link(db, "password", user.id, now)
        if user is None:
            raise Refused(f"{address} has no account")
        return f"{world.settings.issuer}/password?code={code}" if code else None

    link = operate(work)
    say(f"They choose a new password here, once, within a day: {link}" if link else f"{address} has a new password.")

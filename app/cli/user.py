"""`gatehouse user add|list|disable|enable|reset-password|reset-factors|change-email|invite|invitations|uninvite`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import audit
from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.mail import Undelivered
from app.protocol.email import normal_email
from app.protocol.errors import InvalidRequest
from app.users import accounts, factors, passwords, store
from app.users.invitations import invite as invitations
from app.users.invitations import store as invited
from app.world import World

commands = typer.Typer(name="user", help="The people who may sign in.", no_args_is_help=True)
Email = Annotated[str, typer.Argument(metavar="EMAIL")]
FromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


def _password(from_stdin: bool, *about: str) -> str | None:
    if not from_stdin:
        return None
    password = sys.stdin.readline().rstrip("\r\n")
    wrong = passwords.fault(password, about)
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
    address = _email(email)
    password = _password(password_stdin, address, name)

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
    address = _email(email)
    password = _password(password_stdin, address)

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


@commands.command("reset-factors")
def reset_factors(email: Email) -> None:
    """For a lost phone: remove codes, recovery codes, passkeys and remembered devices; every browser is signed out."""
    address = _email(email)

    async def work(world: World) -> tuple[bool, int]:
        async with world.db.begin() as db:
            user = await store.by_email(db, address)
            removed = await factors.reset(db, user.id, world.now()) if user else None
        if removed is None:
            raise Refused(f"{address} has no account")
        return removed

    had_totp, passkeys = operate(work)
    count = f"{passkeys} passkey{'' if passkeys == 1 else 's'}"
    say(
        f"Removed from {address}: {'codes from an app, ' if had_totp else ''}{count}. They sign in with their password."
    )


@commands.command("change-email")
def change_email(email: Email, new: Annotated[str, typer.Argument(metavar="NEW")]) -> None:
    """Give an account another address to sign in with. Nobody has proven that it is theirs, and apps are told so."""
    address, wanted = _email(email), _email(new)

    async def work(world: World) -> str | None:
        async with world.db.begin() as db:
            user = await store.by_email(db, address)
            if user is None:
                return f"{address} has no account"
            done = await accounts.change_email(db, user.id, wanted, world.now(), is_verified=False)
            return None if done else f"{wanted} has an account already"

    wrong = operate(work)
    if wrong:
        raise Refused(wrong)
    say(f"{address} is {wanted} from now on.")


@commands.command("invite")
def invite(
    email: Email,
    admin: Annotated[bool, typer.Option("--admin", help="May administer this Gatehouse.")] = False,
    print_link: Annotated[bool, typer.Option("--print-link", help="Print the link instead of mailing it.")] = False,
) -> None:
    """Invite somebody to make an account: by mail, or by a link to hand over where there is no mail."""
    address = _email(email)

    async def work(world: World) -> invitations.Made:
        try:
            made = await invitations.invite(world, address, is_admin=admin, by_mail=not print_link)
            if made.letter is not None:
                await world.post.deliver(made.letter)
            return made
        except InvalidRequest as refusal:
            raise Refused(refusal.description) from None
        except Undelivered as fault:
            raise Refused(f"the mail server did not take the letter: {fault}; try again, or use --print-link") from None

    made = operate(work)
    if made.link is None:
        say(f"An invitation went to {address}; its link works once, within a week.")
    else:
        say(f"They make their account here, once, within a week: {made.link}")


@commands.command("invitations")
def list_invitations(as_json: Json = False) -> None:
    """Invitations that nobody has accepted yet; the newest 1,000."""

    async def work(world: World) -> list[invited.Invitation]:
        async with world.db.connect() as db:
            return await invited.page(db, limit=1000)

    rows = [
        {
            "email": each.email,
            "admin": each.is_admin,
            "mailed": each.mailed,
            "created": each.created_at,
            "expires": each.expires_at,
        }
        for each in operate(work)
    ]
    show(rows, as_json=as_json, empty="No invitation is open.")


@commands.command("uninvite")
def uninvite(email: Email) -> None:
    """Take an invitation back; its link ends."""
    address = _email(email)

    async def work(world: World) -> bool:
        async with world.db.connect() as db:
            found = await invited.by_email(db, address)
        return found is not None and await invitations.revoke(world, found.id) is not None

    if not operate(work):
        raise Refused(f"{address} has no open invitation")
    say(f"{address} is not invited any more.")

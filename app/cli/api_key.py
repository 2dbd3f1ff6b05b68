"""`gatehouse api-key add|list|revoke`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

import typer

from app.api_keys import keys, store
from app.cli.console import Json, Quiet, Refused, say, show
from app.cli.operating import operate, the_resources
from app.protocol.errors import InvalidRequest, OAuthError
from app.protocol.scope import ADMIN
from app.users.store import by_email, everybody
from app.world import World

commands = typer.Typer(name="api-key", help="Keys for scripts.", no_args_is_help=True)


@commands.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    user: Annotated[str, typer.Option("--user", metavar="EMAIL", help="Whose key it is.")],
    scope: Annotated[str, typer.Option(help="What it may do.")] = "read write",
    expires: Annotated[str, typer.Option(help="After how long it ends, such as 30d; never, if not said.")] = "",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    life = _life(expires) if expires else None
    try:
        title, words = keys.checked_name(name), keys.checked_scope(scope.split(), the_resources(), is_admin=True)
    except OAuthError as refusal:
        raise Refused(refusal.description, 2) from None

    async def work(world: World) -> tuple[store.ApiKey, str] | None:
        now = world.now()
        async with world.db.begin() as db:
            owner = await by_email(db, user.strip().lower())
            if owner is None or (ADMIN in words and not owner.is_admin):
                return None
            made = await keys.create(db, owner.id, title, words, now + life if life else None, now)
        if made is None:
            raise Refused(f"{user} has {store.MOST} keys that work, which is the most; revoke one first")
        return made

    made = operate(work)
    if made is None:
        raise Refused(f"{user} has no account" if ADMIN not in words else f"{user} is no admin")
    key, secret = made
    if quiet:
        print(secret)
    elif as_json:
        print(json.dumps({**keys.shown(key), "apiKey": secret}, indent=2))
    else:
        say(f"{secret}\n\nThis is the only time it is shown. Its id is {key.id}.")


def _life(expires: str) -> timedelta:
    try:
        return keys.duration(expires)
    except InvalidRequest:
        raise Refused("--expires must be a duration such as 30d, 12h or 45m", 2) from None


@commands.command("list")
def list_keys(as_json: Json = False) -> None:
    """Every key that is not revoked."""

    async def work(world: World) -> list[dict[str, object]]:
        async with world.db.connect() as db:
            emails = {user.id: user.email for user in await everybody(db)}
            return [
                {
                    "id": key.id,
                    "name": key.name,
                    "user": emails[key.user_id],
                    "scope": key.scope,
                    "created": key.created_at,
                    "expires": key.expires_at,
                    "last used": key.last_used_at,
                }
                for key in await store.keys_of(db, None)
            ]

    show(operate(work), as_json=as_json, empty="No keys yet.")


@commands.command("revoke")
def revoke(name: Annotated[str, typer.Argument(metavar="ID-OR-NAME")]) -> None:
    """End a key, and within a second every token that came of it."""

    async def work(world: World) -> str:
        async with world.db.begin() as db:
            found = [key for key in await store.keys_of(db, None) if name in (key.id, key.name)]
            if len(found) == 1:
                await keys.end(db, found[0].id, None, world.now(), lifetime=world.token_lifetime)
        if not found:
            raise Refused(f"there is no key {name}")
        if len(found) > 1:
            raise Refused(f"{len(found)} keys are called {name}; say which by its id")
        return found[0].id

    say(f"Revoked {operate(work)}.")

"""`gatehouse token`: an access token for trying things out."""

from __future__ import annotations

from typing import Annotated

import typer

from app import audit
from app.cli.console import Quiet, Refused, say
from app.cli.operating import operate
from app.protocol.errors import InvalidTarget
from app.protocol.types import Authorization
from app.resources.model import Resource
from app.tokens.issue import access_token
from app.users.store import everybody
from app.world import World


def token(
    user: Annotated[
        str, typer.Option("--user", metavar="EMAIL", help="Whose name it acts in; the only user, if not said.")
    ] = "",
    scope: Annotated[str, typer.Option(help="What it may do; what is usual there, if not said.")] = "",
    resource: Annotated[str, typer.Option(metavar="URL", help="For which resource; the default, if not said.")] = "",
    quiet: Quiet = False,
) -> None:
    """Sign an access token, as an app would get it."""

    async def work(world: World) -> str:
        at, words = _meant(world, resource, scope)
        async with world.db.connect() as db:
            people = [person for person in await everybody(db) if person.disabled_at is None]
        chosen = [person for person in people if not user or person.email == user.strip().lower()]
        if not chosen:
            raise Refused(
                f"{user} has no account" if user else "nobody has an account yet; add one with `gatehouse user add`"
            )
        if len(chosen) > 1:
            raise Refused("there is more than one user; say which with --user EMAIL", 2)
        await world.live.load_keys()
        now, settings = world.now(), world.settings
        authorization = Authorization(chosen[0].id, "gatehouse-cli", words, at.audience, via="cli")
        async with world.db.begin() as db:
            whose = {"user_id": chosen[0].id, "client_id": authorization.client_id}
            await audit.record(db, "token.issued", now, **whose, grant=authorization.via, scope=" ".join(words))
        return access_token(
            authorization, world.live.ring, settings.issuer, now=now, lifetime=settings.access_token_lifetime
        )

    signed = operate(work)
    if quiet:
        print(signed)
    else:
        say(f"{signed}\n\nSend it as: Authorization: Bearer …")


def _meant(world: World, resource: str, scope: str) -> tuple[Resource, tuple[str, ...]]:
    """The resource and the scopes. Raises Refused."""
    try:
        at = world.resources.resolve([resource] if resource else [])
    except InvalidTarget as fault:
        raise Refused(fault.description, 2) from None
    words = tuple(scope.split()) or at.default
    unknown = [word for word in words if word not in at.scopes]
    if unknown:
        raise Refused(f"there is no scope {unknown[0]}; the scopes are {', '.join(at.scopes)}", 2)
    return at, words

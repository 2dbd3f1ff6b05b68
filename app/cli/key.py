"""`gatehouse key list|rotate`: the signing keys."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.console import Json, say, show
from app.cli.operating import operate
from app.tokens.keyring import SigningKey
from app.tokens.rotate import rotate
from app.world import World

commands = typer.Typer(name="key", help="The keys that sign tokens.", no_args_is_help=True)


@commands.command("list")
def list_keys(as_json: Json = False) -> None:
    """Every key, and which one signs now."""

    async def work(world: World) -> list[dict[str, object]]:
        await world.live.load_keys()
        ring = world.live.ring
        return [
            {
                "kid": key.kid,
                "algorithm": key.algorithm,
                "state": ring.state(key, world.now()),
                "created": key.created_at,
                "signs from": key.signs_from,
                "verifies until": key.verifies_until,
            }
            for key in ring.keys
        ]

    show(operate(work), as_json=as_json, empty="No key yet; the first start makes one.")


@commands.command("rotate")
def rotate_key(
    now: Annotated[bool, typer.Option("--now", help="Sign with it at once, for a leaked key.")] = False,
) -> None:
    """Publish new keys. They sign once every cache of the key set has them; the old ones verify until their tokens end."""

    async def work(world: World) -> list[SigningKey]:
        return await rotate(
            world.db, world.secrets.signing_keys, world.now(), lifetime=world.token_lifetime, at_once=now
        )

    for key in operate(work):
        say(f"Published {key.kid}; it signs ({key.algorithm}) from {key.signs_from.isoformat(timespec='seconds')}.")

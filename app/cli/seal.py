"""`gatehouse seal status|rotate`: what is sealed with GATEHOUSE_SECRET_KEY, and bringing it to the newest one."""

from __future__ import annotations

from dataclasses import asdict

import typer

from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.seals.rotate import Count, rotate
from app.world import World

commands = typer.Typer(name="seal", help="What is sealed with GATEHOUSE_SECRET_KEY.", no_args_is_help=True)


@commands.command("status")
def status(as_json: Json = False) -> None:
    """How much is sealed with the newest key, with an older one, and with one that is not set any more."""
    show([asdict(count) for count in operate(lambda world: rotate(world, change=False))], as_json=as_json, empty="")


@commands.command("rotate")
def rotate_seals() -> None:
    """Seal everything with the newest key, while the server runs. Afterwards the older one is needed for refresh tokens only."""

    async def work(world: World) -> tuple[list[Count], int]:
        return await rotate(world), len(world.settings.secret_key)

    counts, keys = operate(work)
    for count in counts:
        say(f"{count.kind}: {count.older} sealed anew, {count.newest} were already")
    lost = sum(count.lost for count in counts)
    if lost:
        raise Refused(
            f"{lost} cannot be opened with any key that is set: add the one they were sealed with, and run this again"
        )
    if keys > 1:
        say(
            "Keep the older key until the refresh tokens from before have ended (GATEHOUSE_REFRESH_IDLE), then leave it out."
        )
    else:
        say(
            "Only one key is set. To change it: old,new everywhere; then new,old; then this command (docs/upstream.md)."
        )

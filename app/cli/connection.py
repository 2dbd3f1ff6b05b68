"""`gatehouse connection list|revoke`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from app.account.store import Connection, live_connections
from app.cli.console import Json, Refused, say, show
from app.cli.operating import operate
from app.connections.end import end
from app.world import World

commands = typer.Typer(name="connection", help="What users allowed their apps.", no_args_is_help=True)


@commands.command("list")
def list_connections(as_json: Json = False) -> None:
    """Every open connection, the last used first."""

    async def work(world: World) -> list[Connection]:
        async with world.db.connect() as db:
            return await live_connections(db, None, world.now())

    show([asdict(row) for row in operate(work)], as_json=as_json, empty="Nobody has connected an app yet.")


@commands.command("revoke")
def revoke(connection_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """End a connection; its tokens end within a second."""

    async def work(world: World) -> bool:
        async with world.db.begin() as db:
            return await end(db, connection_id, "revoked by the operator", world.now(), lifetime=world.token_lifetime)

    if not operate(work):
        raise Refused(f"there is no open connection {connection_id}")
    say(f"Revoked {connection_id}.")

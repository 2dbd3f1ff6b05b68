"""`gatehouse project add|list|change|pause|resume|revoke`: whose public key agents without an account come with."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from app.agents import projects, store
from app.cli.console import Json, Quiet, Refused, say, show
from app.cli.operating import operate
from app.protocol.errors import OAuthError
from app.world import World

commands = typer.Typer(name="project", help="Projects that agents without an account come to.", no_args_is_help=True)


@commands.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    scope: Annotated[str, typer.Option(help="What its agents may do; without: what every call needs.")] = "",
    allowance: Annotated[int, typer.Option(help="Sats a day that a session has for its work.")] = 100,
    price: Annotated[int, typer.Option(help="Sats that a session costs by Lightning, and is worth.")] = 50,
    calls: Annotated[int, typer.Option(help="Calls a minute of a session.")] = 60,
    bits: Annotated[str, typer.Option(metavar="FEWEST-MOST", help="How hard the work is.")] = "18-20",
    quiet: Quiet = False,
) -> None:
    """Make a project and print its public key."""
    floor, ceiling = _bits(bits)

    async def work(world: World) -> store.Project | None:
        now, resource = world.now(), world.resources.default
        made = projects.new_project(
            name,
            now,
            scope=scope or " ".join(sorted(resource.rules.baseline)),
            scopes=projects.may_have(resource),
            allowance_sats=allowance,
            session_sats=price,
            max_calls_per_minute=calls,
            bits_floor=floor,
            bits_ceiling=ceiling,
        )
        async with world.db.begin() as db:
            return made if await projects.add(db, made, now) else None

    try:
        project = operate(work)
    except OAuthError as refusal:
        raise Refused(refusal.description, 2) from None
    if project is None:
        raise Refused(f"there is a project {name} already")
    if quiet:
        print(project.public_key)
    else:
        say(f"{project.public_key}\n\nAgents send it as X-LW-Public: it says where they come, not who they are.")


def _bits(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition("-")
    if not fewest.isdecimal() or not (most or fewest).isdecimal():
        raise Refused("--bits must be a number, or two such as 18-20", 2)
    return int(fewest), int(most or fewest)


@commands.command("list")
def list_projects(as_json: Json = False) -> None:
    """Every project, revoked ones too."""

    async def work(world: World) -> list[dict[str, object]]:
        async with world.db.connect() as db:
            return [
                {
                    "name": project.name,
                    "public key": project.public_key,
                    "scope": project.scope,
                    "sats a day": project.allowance_sats,
                    "price": project.session_sats,
                    "calls a minute": project.max_calls_per_minute,
                    "bits": f"{project.bits_floor}-{project.bits_ceiling}",
                    "created": project.created_at,
                    "paused": project.paused_at,
                    "revoked": project.revoked_at,
                }
                for project in await store.projects(db)
            ]

    show(operate(work), as_json=as_json, empty="No projects yet.")


@commands.command("change")
def change(
    name: Annotated[str, typer.Argument(metavar="ID-OR-NAME")],
    new_name: Annotated[str, typer.Option("--name", help="What it is called from now on.")] = "",
    scope: Annotated[str, typer.Option(help="What its agents may do.")] = "",
    allowance: Annotated[int | None, typer.Option(help="Sats a day that a session has for its work.")] = None,
    price: Annotated[int | None, typer.Option(help="Sats that a session costs by Lightning, and is worth.")] = None,
    calls: Annotated[int | None, typer.Option(help="Calls a minute of a session.")] = None,
    bits: Annotated[str, typer.Option(metavar="FEWEST-MOST", help="How hard the work is.")] = "",
) -> None:
    """Other terms, for sessions that begin from now on; what is left out stays."""
    floor, ceiling = _bits(bits) if bits else (None, None)
    asked: dict[str, Any] = {
        "name": new_name or None,
        "scope": tuple(scope.split()) or None,
        "allowance_sats": allowance,
        "session_sats": price,
        "max_calls_per_minute": calls,
        "bits_floor": floor,
        "bits_ceiling": ceiling,
    }

    async def work(world: World) -> bool | None:
        async with world.db.connect() as db:
            before = next((one for one in await store.projects(db) if name in (one.id, one.name)), None)
        if before is None or before.revoked_at is not None:
            return None
        after = replace(before, **{key: value for key, value in asked.items() if value is not None})
        projects.check(after, projects.may_have(world.resources.default))
        async with world.db.begin() as db:
            return await projects.change(db, after, world.now())

    try:
        changed = operate(work)
    except OAuthError as refusal:
        raise Refused(refusal.description, 2) from None
    if changed is None:
        raise Refused(f"there is no project {name}, or it was revoked before")
    if not changed:
        raise Refused(f"there is a project {new_name} already")
    say("It counts for sessions that begin from now on.")


@commands.command("pause")
def pause(name: Annotated[str, typer.Argument(metavar="ID-OR-NAME")]) -> None:
    """Nothing is given out until `resume`; tokens that are out are void within a second, sessions and their sats stay."""

    async def work(world: World) -> str | None:
        async with world.db.begin() as db:
            return await projects.pause(db, name, world.now(), lifetime=world.token_lifetime)

    if operate(work) is None:
        raise Refused(f"there is no project {name}, or it is paused already")
    say(f"Paused {name}.")


@commands.command("resume")
def resume(name: Annotated[str, typer.Argument(metavar="ID-OR-NAME")]) -> None:
    """Let a paused project go on."""

    async def work(world: World) -> str | None:
        async with world.db.begin() as db:
            return await projects.go_on(db, name, world.now())

    if operate(work) is None:
        raise Refused(f"there is no project {name} that is paused")
    say(f"{name} goes on.")


@commands.command("revoke")
def revoke(name: Annotated[str, typer.Argument(metavar="ID-OR-NAME")]) -> None:
    """End a project, its agents' sessions, and within a second their tokens."""

    async def work(world: World) -> str | None:
        async with world.db.begin() as db:
            return await projects.end_project(db, name, world.now(), lifetime=world.token_lifetime)

    ended = operate(work)
    if ended is None:
        raise Refused(f"there is no project {name}, or it was revoked before")
    say(f"Revoked {ended}.")

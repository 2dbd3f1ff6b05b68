"""`gatehouse resource list|check`: what stands behind the guard, and whether the file that says so is right."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.console import Json, Refused, say, show
from app.cli.operating import the_resources
from app.resources.model import CommandBackend, PythonBackend, Resource

commands = typer.Typer(name="resource", help="The MCP servers behind the guard.", no_args_is_help=True)
File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Without: the one that would be served.")]


@commands.command("list")
def list_resources(as_json: Json = False) -> None:
    """Every resource of gatehouse.toml, as it would be served after the next start or SIGHUP."""
    show([_row(one) for one in the_resources()], as_json=as_json, empty="")


@commands.command("check")
def check(file: File = None) -> None:
    """Read gatehouse.toml, and name every fault with its line; Python servers are imported. Exit 1 when there are any."""
    from app.gate.backends.python import Unmountable, found  # imports the SDK, which takes a while

    resources = the_resources(file)
    faults = []
    for one in resources:
        if isinstance(one.backend, PythonBackend):
            try:
                found(one.backend)
            except Unmountable as fault:
                faults.append(f"resources.{one.name}.python: {fault}")
    if faults:
        raise Refused("\n  ".join(["gatehouse.toml has faults:", *faults]))
    count = len(list(resources))
    say(f"{count} resource{'s' if count > 1 else ''}, no faults; the default is {resources.default.audience}")


def _row(one: Resource) -> dict[str, Any]:
    return {
        "name": one.name,
        "address": one.audience,
        "title": one.title,
        "scopes": list(one.scopes),
        "tool rules": len(one.rules.tools),
        "backend": behind(one),
    }


def behind(one: Resource) -> str:
    """What answers, without secrets."""
    if one.backend is None:
        return "built-in tools"
    if isinstance(one.backend, PythonBackend):
        return one.backend.target
    if isinstance(one.backend, CommandBackend):
        return shlex.join(one.backend.command)
    return one.backend.url

"""`gatehouse config show`: every setting, where it comes from, and no secret."""

from __future__ import annotations

from dataclasses import asdict

import typer

from app.cli.console import Json, show, warn
from app.settings.shown import misspelt, shown

commands = typer.Typer(name="config", help="The configuration.", no_args_is_help=True)


@commands.callback()
def _group() -> None:
    """The configuration."""


@commands.command("show")
def show_config(as_json: Json = False) -> None:
    """Every setting with its value, its source and its meaning; secrets are masked."""
    warn(misspelt())
    show([asdict(row) for row in shown()], as_json=as_json, empty="")

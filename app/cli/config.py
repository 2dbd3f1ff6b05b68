"""`gatehouse config show`: every setting, where it comes from, and no secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer
from dotenv import dotenv_values
from pydantic import SecretStr

from app.cli.console import Json, show
from app.settings import Settings

commands = typer.Typer(name="config", help="The configuration.", no_args_is_help=True)


@commands.callback()
def _group() -> None:
    """The configuration."""


@commands.command("show")
def show_config(as_json: Json = False) -> None:
    """Every setting with its value, its source and its meaning; secrets are masked."""
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    rows = []
    for name, field in Settings.model_fields.items():
        variable = f"GATEHOUSE_{name.upper()}"
        source = "environment" if variable in os.environ else ".env" if variable in file else "default"
        value: Any = os.environ.get(variable, file.get(variable))
        if value is None:
            value, source = (None, "not set") if field.is_required() else (field.default, source)
        secret = SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
        rows.append(
            {
                "setting": variable,
                "value": "********" if secret and value else _plain(value),
                "source": source,
                "meaning": field.description or "",
            }
        )
    show(rows, as_json=as_json, empty="")


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)

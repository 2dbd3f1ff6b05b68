"""The settings for people's eyes: each with its value, where that comes from, and no secret in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr

from app.settings import Settings

MASK = "********"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting for people's eyes: no secret is in it. `source`: environment, .env, default, start (an option), not set."""

    setting: str
    value: str
    source: str
    meaning: str


def shown(running: Settings | None = None) -> list[Shown]:
    """Every setting as the environment has it, faults and all; or as it is in a process that runs."""
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    rows = []
    for name, field in Settings.model_fields.items():
        variable = f"GATEHOUSE_{name.upper()}"
        source = "environment" if variable in os.environ else ".env" if variable in file else "default"
        value: Any = os.environ.get(variable, file.get(variable))
        if running is not None:
            value = getattr(running, name)
            source = "start" if source == "default" and (field.is_required() or value != field.default) else source
        elif value is None:
            value, source = (None, "not set") if field.is_required() else (field.default, source)
        secret = SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
        rows.append(Shown(variable, MASK if secret and value else _plain(value), source, field.description or ""))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)

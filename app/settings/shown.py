"""The settings for people's eyes: each with its value, where that comes from, and no secret in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr

from app.settings.read import Settings
from app.settings.variables import dotenv

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
    file, rows = dotenv(), []
    for name, field in Settings.model_fields.items():
        variable = f"GATEHOUSE_{name.upper()}"
        source = "environment" if os.environ.get(variable) else ".env" if file.get(variable) else "default"
        value: Any = os.environ.get(variable) or file.get(variable) or None
        if running is not None:
            value = getattr(running, name)
            source = "start" if source == "default" and (field.is_required() or value != field.default) else source
        elif value is None:
            value, source = (None, "not set") if field.is_required() else (field.default, source)
        secret = SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))
        rows.append(Shown(variable, MASK if secret and value else _plain(value), source, field.description or ""))
    return rows


def misspelt() -> list[str]:
    """A sentence for each variable that is no setting and looks like one. Others stay unsaid: gatehouse.toml may name them."""
    known = [f"GATEHOUSE_{name.upper()}" for name in Settings.model_fields]
    strange = sorted(name for name in {*dotenv(), *os.environ} if name.startswith("GATEHOUSE_") and name not in known)
    meant = [(name, get_close_matches(name, known, 1, 0.85)) for name in strange]
    return [f"{name} is not a setting; {close[0]} is" for name, close in meant if close]


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)

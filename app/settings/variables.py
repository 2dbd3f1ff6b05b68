"""The variables of the environment and of .env, where gatehouse.toml names its secrets and nobody else looks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def environment() -> Mapping[str, str]:
    """All of them; the environment's count before those of .env."""
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    return {name: value for name, value in file.items() if value is not None} | dict(os.environ)


def inherited(*names: str) -> dict[str, str]:
    """Of the environment, what a program that we start is to know."""
    return {name: os.environ[name] for name in names if name in os.environ}

"""The variables of the environment and of .env, where the operator's files name their secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values


def environment() -> Mapping[str, str]:
    """All of them; the environment's count before those of .env, but for empty ones, as compose files hand on what is not set."""
    file = {name: value for name, value in dotenv().items() if value is not None}
    return file | {name: value for name, value in os.environ.items() if value or name not in file}


def dotenv() -> Mapping[str, str | None]:
    """Those of .env, where there is one; None for a name without a value."""
    return dotenv_values(".env") if Path(".env").is_file() else {}


def inherited(*names: str) -> dict[str, str]:
    """Of the environment, what a program that we start is to know."""
    return {name: os.environ[name] for name in names if name in os.environ}

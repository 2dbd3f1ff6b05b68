"""What the commands share in talking to people and programs: refusals, tables, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Only the secret itself, for $(…).")]


class Refused(Exception):
    """One clear sentence for the operator. Exit 1: it failed; exit 2: it was asked for wrongly."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


def say(text: str) -> None:
    """A line for people, on standard output."""
    Console(soft_wrap=True, highlight=False).print(text, markup=False)


def warn(sentences: Iterable[str]) -> None:
    """A line each for people, beside what the command prints, on standard error."""
    for sentence in sentences:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"gatehouse: {sentence}", markup=False)


def show(rows: Sequence[dict[str, Any]], *, as_json: bool, empty: str) -> None:
    """A list, as a table or as JSON; times become RFC 3339, lists become words."""
    plain = [{name: _plain(value, as_json) for name, value in row.items()} for row in rows]
    if as_json:
        print(json.dumps(plain, indent=2))
    elif not plain:
        say(empty)
    else:
        table = Table(*plain[0], box=None, header_style="bold", pad_edge=False)
        for row in plain:
            table.add_row(*(Text("" if value is None else str(value)) for value in row.values()))  # names have brackets
        Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 200).print(table)


def _plain(value: Any, as_json: bool) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, (tuple, list)) and not as_json:
        return " ".join(value)
    return value


def ourselves() -> str:
    """How the reader can call this very program again, from the same folder."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{Path(sys.executable)} -m app"
    resolved = called.absolute()
    try:
        return str(resolved.relative_to(Path.cwd()))
    except ValueError:
        return str(resolved) if called.is_absolute() or "/" in str(called) else called.name

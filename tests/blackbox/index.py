"""Which test holds which check and requirement: `index.toml` and `requirements.toml` read, and rendered for docs/mcp-requirements.md."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "mcp-requirements.md"
LEVELS = {"M": "MUST", "S": "SHOULD", "P": "practice", "X": "hardening"}
HEAD = """# What MCP asks of a server, and which test holds it

Written by `.venv/bin/python -m tests.blackbox` from `tests/blackbox/index.toml` and `requirements.toml`. A test fails when this
page differs from them, when a test named here does not exist, or when a number is missing.

The first part are black-box checks of a front door, by number (there is no 75). The second are the requirements of the MCP
specification of 2026-07-28 that fall on a server, in short words, with those of the revisions before it where they differ. *MUST* and
*SHOULD* are the specification's words, *practice* is what real clients need, *hardening* our own wish. A note stands where a
requirement does not fall on this server, or where something was decided.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A check or a requirement. `by` names tests as `file.py::test` from `tests/`, or checks by their numbers."""

    id: str
    level: str
    what: str
    by: tuple[str | int, ...]
    why: str
    title: str


def _entry(title: str, row: dict[str, Any]) -> Entry:
    level = LEVELS.get(row["level"], row["level"])
    name = str(row["n"]) if "n" in row else row["id"]
    by = tuple(row.get("by", ()))
    return Entry(name, level, row["what"], by, row.get("why", ""), title)


@cache
def checks() -> tuple[Entry, ...]:
    groups = tomllib.loads((HERE / "index.toml").read_text())["groups"]
    return tuple(_entry(group["title"], row) for group in groups for row in group["checks"])


@cache
def requirements() -> tuple[Entry, ...]:
    tables = tomllib.loads((HERE / "requirements.toml").read_text())["tables"]
    return tuple(_entry(table["title"], row) for table in tables for row in table["rows"])


def held_by(entry: Entry) -> set[str]:
    """Those that hold it, by way of checks too."""
    by_number = {check.id: check for check in checks()}
    found: set[str] = set()
    for name in entry.by:
        if isinstance(name, int):
            found |= held_by(by_number[str(name)])
        else:
            found.add(name)
    return found


def rendered() -> str:
    parts = [HEAD, "\n## Checks\n", _tables(checks(), "#", "check")]
    return "".join([*parts, "\n## Requirements\n", _tables(requirements(), "", "requirement")])


def _tables(entries: tuple[Entry, ...], number: str, called: str) -> str:
    text, title = "", ""
    for entry in entries:
        if entry.title != title:
            title = entry.title
            text += f"\n### {title}\n\n| {number} | | {called} | held by |\n|---|---|---|---|\n"
        text += f"| {entry.id} | {entry.level} | {entry.what} | {_held(entry)} |\n"
    return text


def _held(entry: Entry) -> str:
    numbers = [str(name) for name in entry.by if isinstance(name, int)]
    held = [f"check{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"] if numbers else []
    held += [_link(name) for name in entry.by if isinstance(name, str)]
    return "; ".join([*held, *([f"*{entry.why}*"] if entry.why else [])])


def _link(name: str) -> str:
    file, test = name.split("::")
    return f"[`{test}`](../tests/{file})"

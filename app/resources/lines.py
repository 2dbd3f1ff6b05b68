"""On which line of a TOML document each key stands, so that a fault can be found (TOML 1.0)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]


def lines_of(text: str) -> dict[Path, int]:
    """The line, from 1, of every table and key of a document that tomllib can read."""
    found: dict[Path, int] = {}
    table: Path = ()
    for line, statement in _statements(text):
        is_table = statement.lstrip().startswith("[")
        paths = list(_paths(tomllib.loads(statement)))
        if is_table:
            table = max(paths, key=len)
        for path in paths if is_table else [table + path for path in paths]:
            found.setdefault(path, line)
    return found


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of the key, or of the nearest table around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each with its first line: as many lines as it takes until they can be read by themselves."""
    begun, lines = 0, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        begun = begun if lines else number
        lines.append(line)
        statement = "\n".join(lines)
        try:
            read = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        lines = []
        if read:
            yield begun, statement


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(inner, (*path, name))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, inner in enumerate(value):
            yield from _paths(inner, (*path, str(number)))

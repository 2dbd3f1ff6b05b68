"""Tables of figures for a terminal: what a line is about at the left, its figures at the right."""

from __future__ import annotations

from rich.table import Table


def figures(title: str, first: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for head in heads:
        table.add_column(head, justify="right")
    return table

"""Every event of the audit log is in docs/audit.md, with its meaning, and nothing is there that the code does not record."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECORDERS = {
    "audit.record": 1,
    "audit.add": 1,
    "audit.noted": 0,
    "factors.changed": 2,
}  # which argument names the event


def events_of(path: Path) -> set[str]:
    """The names are written where they are recorded, or in a variable of the same file."""
    tree, found = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in RECORDERS:
            named = node.args[RECORDERS[ast.unparse(node.func)]]
            names = strings(named) or {
                name
                for given in ast.walk(tree)
                if isinstance(given, ast.Assign) and ast.unparse(given.targets[0]) == ast.unparse(named)
                for name in strings(given.value)
            }
            if path.name == "factors.py" and ast.unparse(named) == "event":
                continue  # its callers name it
            assert names, f"{path.name}:{node.lineno}: write the name of the event where it is recorded"
            found |= names
    return found


def strings(node: ast.AST) -> set[str]:
    return {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)}


def test_the_table_of_events_is_whole() -> None:
    code = set[str]().union(*(events_of(path) for path in (ROOT / "app").rglob("*.py")))
    rows = re.findall(
        r"^\| (`[a-z_.`, ]+) \| \S", (ROOT / "docs/audit.md").read_text().split("## Events")[1], re.MULTILINE
    )
    docs = [name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)]
    assert len(docs) == len(set(docs))
    assert code == set(docs), f"missing in docs: {code - set(docs)}; in docs only: {set(docs) - code}"


def test_events_are_named_alike() -> None:
    for path in (ROOT / "app").rglob("*.py"):
        for event in events_of(path):
            assert re.fullmatch(r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?", event), event

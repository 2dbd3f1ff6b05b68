"""The index of checks and requirements is complete, names tests that exist, and is what the page in docs/ says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from tests.blackbox.index import DOCUMENT, HERE, checks, held_by, rendered, requirements

NUMBERS = [str(number) for number in range(1, 77) if number != 75]
COUNTS = {"AS": 21, "CIMD": 20, "DCR": 3, "UI": 9, "RS": 15, "T": 26, "L": 8}
FILES = sorted(path for path in HERE.glob("test_*.py") if path.name != Path(__file__).name)
NOT_RUN = re.compile(r"\.(skip|xfail)\b")
CITED = re.compile(r"(?:Check )?(\d+|[A-Z]+-\d+)(?=[,:])")


@cache
def written(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The tests of a file that are really run."""
    nodes = ast.parse(file.read_text()).body
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    run = [node for node in functions if not any(NOT_RUN.search(ast.unparse(mark)) for mark in node.decorator_list)]
    return {node.name: node for node in run if node.name.startswith("test_")}


def said() -> dict[str, list[str]]:
    """By the name of each test here: which checks and requirements its docstring begins with."""
    found = {}
    for file in FILES:
        for name, node in written(file).items():
            head = (ast.get_docstring(node) or "").split(": ")[0] + ":"
            found[f"{HERE.name}/{file.name}::{name}"] = CITED.findall(head)
    return found


def test_every_check_has_its_number_once() -> None:
    assert [check.id for check in checks()] == NUMBERS


def test_every_requirement_is_there_once() -> None:
    wanted = [f"{kind}-{number}" for kind, count in COUNTS.items() for number in range(1, count + 1)]
    assert sorted(entry.id for entry in requirements()) == sorted(wanted)


def test_what_is_listed_is_held_by_tests_that_exist() -> None:
    """Or there is a reason."""
    for entry in (*checks(), *requirements()):
        assert entry.by or entry.why, f"{entry.id} is held by nothing, and nothing is said about it"
        for name in held_by(entry):
            file, test = name.split("::")
            assert test in written(HERE.parent / file), f"{entry.id}: {name} does not exist, or is not run"


def test_what_a_test_says_it_holds_the_index_says_too() -> None:
    entries = {entry.id: held_by(entry) for entry in (*checks(), *requirements())}
    for name, ids in said().items():
        assert ids, f"the docstring of {name} begins with no check or requirement"
        for number in ids:
            assert name in entries.get(number, ()), f"{name} says {number}, the index does not"


def test_what_the_index_says_of_a_test_the_test_says_too() -> None:
    ours = said()
    for entry in (*checks(), *requirements()):
        for name in ours.keys() & set(entry.by):
            assert entry.id in ours[name], f"{name} does not say that it holds {entry.id}"


def test_the_page_in_docs_is_the_index() -> None:
    assert DOCUMENT.read_text() == rendered(), "write it anew: python -m tests.blackbox"

"""Which rule is a tool's: its own before patterns, the first pattern that fits, then the one for all others."""

from __future__ import annotations

import pytest

from app.gate.rules import RuleBook
from app.resources.model import Rules, ToolRule

RULES = Rules(
    baseline=frozenset({"read"}),
    tools={
        "do_*": ToolRule(frozenset({"do"})),
        "*_all": ToolRule(frozenset({"all"})),
        "do_this": ToolRule(allowed=False),
        "a.c*": ToolRule(price=3),
    },
    others=ToolRule(frozenset({"other"})),
)


@pytest.mark.parametrize(
    ("tool", "needs"),
    [
        ("do_that", {"do"}),
        ("do_all", {"do"}),
        ("forget_all", {"all"}),
        ("do_this", set()),
        ("do_", {"do"}),
        ("undo_that", {"other"}),
        ("do_\nthat", {"do"}),
        ("DO_THAT", {"other"}),
        ("a.cd", set()),
        ("abcd", {"other"}),
        ("", {"other"}),
    ],
)
def test_the_nearest_rule_counts(tool: str, needs: set[str]) -> None:
    book = RuleBook(RULES, {})
    assert book.of(tool).needs == {"read", *needs}
    assert book.of(tool).allowed == (tool != "do_this")


def test_built_in_tools_need_what_they_say_besides() -> None:
    book = RuleBook(RULES, {"do_that": "write", "whoami": "read"})
    assert book.of("do_that").needs == {"read", "do", "write"}
    assert book.of("whoami").needs == {"read", "other"}


def test_made_up_names_fill_no_memory() -> None:
    book = RuleBook(RULES, {})
    for number in range(3000):
        book.of(f"made_up_{number}")
    assert book._of.cache_info().currsize <= 1024

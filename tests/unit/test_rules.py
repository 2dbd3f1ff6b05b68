"""Which rule is a tool's: its own before patterns, the first pattern that fits, then the one for all others."""

from __future__ import annotations

import time

import pytest

from app.gate.rules import RuleBook, is_name
from app.resources.model import Rules, ToolRule

RULES = Rules(
    baseline=frozenset({"read"}),
    tools={
        "do_*": ToolRule(frozenset({"do"})),
        "*_all": ToolRule(frozenset({"all"})),
        "do_this": ToolRule(allowed=False),
        "a.c*": ToolRule(price=3),
        "get_*_by_*_id": ToolRule(frozenset({"get"})),
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
        ("DO_THAT", {"other"}),
        ("a.cd", set()),
        ("abcd", {"other"}),
        ("get_a_by_b_id", {"get"}),
        ("get__by__id", {"get"}),
        ("get_by_id", {"other"}),
        ("get_a_by_id", {"other"}),
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


def test_a_pattern_costs_one_walk_however_many_stars_it_has() -> None:
    book = RuleBook(Rules(tools={"*".join("a" * 30): ToolRule(price=1)}), {})
    began = time.monotonic()
    assert book.of("a" * 127 + "b").price == 0
    assert time.monotonic() - began < 0.1


@pytest.mark.parametrize("name", ["a", "Search the web", "日本語", "x" * 128])
def test_what_a_tool_may_be_called(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\n", "a\u00a0", "a\0", "a\u200b", "\u202ea", "x" * 129])
def test_what_no_tool_may_be_called(name: str) -> None:
    assert not is_name(name)

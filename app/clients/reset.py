"""Which app is it that keeps a client_id nobody knows here, and what its user does to make it register anew; pure (RFC 6749 §4.1.2.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RESET_STEPS = Path(__file__).with_name("reset_steps.json")


@dataclass(frozen=True, slots=True)
class Reset:
    """`client` is the app's name in our words, None for an app that was not recognized. `steps` have `commands` in backticks."""

    client: str | None
    steps: tuple[str, ...]


def reset(redirects: Iterable[str], registered_name: str | None, user_agent: str, mcp_url: str) -> Reset:
    """The steps for the app that has one of these redirect URIs, or else had this name, or else sends this User-Agent.

    All three are what a stranger says of itself; they choose among our texts and are in none of them.
    """
    entry = (
        _first("redirects", [uri for uri in redirects if len(uri) <= 1000])
        or _first("names", [registered_name] if registered_name else [])
        or _by_program(user_agent[:500])
    )
    if entry is None:
        return Reset(None, _filled(_said()["otherwise"], mcp_url))
    return Reset(entry["client"], _filled(entry["steps"], mcp_url))


def known(mcp_url: str, language: str = "en") -> list[Reset]:
    """Every app whose steps are written down, by name."""
    found = [Reset(entry["client"], _filled(entry["steps"], mcp_url)) for entry in _said()["clients"]]
    told = [Reset(one.client, steps_in(language, one, mcp_url)) for one in found]
    return sorted(told, key=lambda one: str(one.client).lower())


def steps_in(language: str, advice: Reset, mcp_url: str) -> tuple[str, ...]:
    """The same steps in the language of the page; the trace, which the operator reads, has the English ones."""
    translated = _translated(language).get(advice.client or "otherwise")
    return _filled(translated, mcp_url) if translated else advice.steps


def _first(kind: str, values: list[str]) -> dict[str, Any] | None:
    """In the order of the file, in which what is more particular stands first."""
    for entry in _said()["clients"]:
        if any(re.fullmatch(pattern, value) for pattern in entry[kind] for value in values):
            found: dict[str, Any] = entry
            return found
    return None


def _by_program(user_agent: str) -> dict[str, Any] | None:
    for entry in _said()["clients"]:
        if any(part in user_agent for part in entry["programs"]):
            found: dict[str, Any] = entry
            return found
    return None


def _filled(steps: list[str], mcp_url: str) -> tuple[str, ...]:
    return tuple(step.replace("{mcp}", mcp_url) for step in steps)


@cache
def _said() -> dict[str, Any]:
    said: dict[str, Any] = json.loads(RESET_STEPS.read_text())
    return said


@cache
def _translated(language: str) -> dict[str, list[str]]:
    """By the app's name in `reset_steps.json`; nothing for English."""
    path = RESET_STEPS.with_name(f"reset_steps.{language}.json")
    translated: dict[str, list[str]] = json.loads(path.read_text()) if path.is_file() else {}
    return translated

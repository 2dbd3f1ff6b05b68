"""One file for each client: `sources` say where it is from, `assumed` what in it is not known; {names} are filled in at run time.

`discovery` is what it fetches before it has a token, in order (`call` is its first call of /mcp). `authenticates` says how at
/token, by what it came with. `again` is the sign-in after the first one. `calls` are those of /mcp, in one of two eras.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLACE = Path(__file__).parent


@dataclass(frozen=True)
class Known:
    """What is known of a client. Without `client_id` it has no document and registers; with one it can do both."""

    client: str
    as_of: str
    sources: list[str]
    assumed: list[str]
    redirect_uri: str
    registration: dict[str, Any]
    authenticates: dict[str, str]
    headers: dict[str, dict[str, str]]
    discovery: list[str]
    authorize: dict[str, str]
    token: dict[str, str]
    refresh: dict[str, str]
    again: dict[str, Any]
    calls: dict[str, Any]
    quirks: list[str]
    tested: str
    client_id: str | None = None
    page: str | None = None  # the origin of the page in a browser that all this comes from
    preflight: dict[str, str] = field(default_factory=dict)  # headers of a GET /authorize of its own, without cookies
    verifier: str | None = None


def known(name: str) -> Known:
    return Known(**json.loads((PLACE / f"{name}.json").read_text()))


def names() -> list[str]:
    return sorted(path.stem for path in PLACE.glob("*.json"))


def filled(value: Any, words: dict[str, str]) -> Any:
    """The value with every {name} that is in `words` replaced, however deep."""
    if isinstance(value, str):
        for name, word in words.items():
            value = value.replace("{" + name + "}", word)
        return value
    if isinstance(value, list):
        return [filled(item, words) for item in value]
    return {name: filled(item, words) for name, item in value.items()} if isinstance(value, dict) else value

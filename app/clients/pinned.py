"""Shipped copies of well-known clients' documents, for when a bot wall keeps us from the original (CIMD draft §4.3)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PINNED = Path(__file__).with_name("pinned.json")
COPY_OF = "gatehouse_copy_of"  # beside the metadata of a client that came in by a shipped copy: its date
SEGMENT = "(?P<id>[A-Za-z0-9_-]{1,64})"


@dataclass(frozen=True, slots=True)
class Copy:
    """A document as it was written down, and when: a day or a month."""

    document: dict[str, Any]
    as_of: str


def pinned(url: str) -> Copy | None:
    """The copy of this client_id's document. What is written down as {id} is the same segment in the redirect URIs."""
    for pattern, copy in _copies():
        found = pattern.fullmatch(url)
        if found is not None:
            segment = found.groupdict().get("id", "")
            redirect_uris = [uri.replace("{id}", segment) for uri in copy.document["redirect_uris"]]
            return Copy({**copy.document, "client_id": url, "redirect_uris": redirect_uris}, copy.as_of)
    return None


@cache
def _copies() -> list[tuple[re.Pattern[str], Copy]]:
    copies = [Copy(entry["document"], entry["as_of"]) for entry in json.loads(PINNED.read_text())["documents"]]
    copies.sort(key=lambda copy: "{id}" in copy.document["client_id"])  # an exact one before a pattern
    return [(re.compile(re.escape(c.document["client_id"]).replace(r"\{id\}", SEGMENT)), c) for c in copies]

"""Shipped copies of well-known clients' documents, for when a bot wall keeps us from the original (CIMD draft §4.3)."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

PINNED = Path(__file__).with_name("pinned.json")
SEGMENT = "(?P<id>[A-Za-z0-9_-]{1,64})"


def pinned(url: str) -> dict[str, Any] | None:
    """The copy of this client_id's document. What is written down as {id} is the same segment in the redirect URIs."""
    for pattern, document in _copies():
        found = pattern.fullmatch(url)
        if found is not None:
            segment = found.groupdict().get("id", "")
            redirect_uris = [uri.replace("{id}", segment) for uri in document["redirect_uris"]]
            return {**document, "client_id": url, "redirect_uris": redirect_uris}
    return None


@cache
def _copies() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    documents = [entry["document"] for entry in json.loads(PINNED.read_text())["documents"]]
    documents.sort(key=lambda document: "{id}" in document["client_id"])  # an exact one before a pattern
    return [(re.compile(re.escape(d["client_id"]).replace(r"\{id\}", SEGMENT)), d) for d in documents]

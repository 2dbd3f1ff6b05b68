"""One bounded HTTP answer, and the reading of it: JSON objects, and the Bearer challenge (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json

LONGEST_CHALLENGE = 4096
PARAMETER = re.compile(r'([a-z_]{1,40})\s{0,9}=\s{0,9}(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """`fault` says why there is none, `cut` why its body is not whole, `at` when its headers were here."""

    method: str
    url: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    cut: str = ""
    fault: str = ""
    milliseconds: float = 0.0
    at: datetime | None = None

    def header(self, name: str) -> str:
        """All values of one name, in one line (RFC 9110 §5.3); empty when there is none."""
        return ", ".join(value for key, value in self.headers if key == name)

    @property
    def media_type(self) -> str:
        return self.header("content-type").split(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        return self.media_type == "application/json" or self.media_type.endswith("+json")

    @property
    def is_html(self) -> bool:
        return "html" in self.media_type or self.body[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))

    @property
    def is_redirect(self) -> bool:
        return 300 <= self.status < 400

    def read(self) -> tuple[dict[str, Any] | None, str]:
        """The JSON object of the body, or None and why there is none."""
        if self.cut:
            return None, self.cut
        try:
            value = from_json(self.body, allow_inf_nan=False)
        except ValueError:
            return None, "is HTML, not JSON" if self.is_html else "is not JSON"
        return (value, "") if isinstance(value, dict) else (None, "is JSON, but no object")

    @property
    def document(self) -> dict[str, Any] | None:
        """The JSON object of a 200 answer."""
        return self.read()[0] if self.status == 200 else None


@dataclass(frozen=True, slots=True)
class Challenge:
    """The parameters of a Bearer challenge; `unquoted` names those that some clients cannot read."""

    values: Mapping[str, str]
    unquoted: frozenset[str]


def challenge(answer: Answer) -> Challenge | None:
    """The Bearer challenge of an answer; None without one."""
    line = answer.header("www-authenticate")[:LONGEST_CHALLENGE]
    scheme = re.search(r"(?:^|,)\s{0,9}bearer(?:\s+|$)", line, re.IGNORECASE)
    if scheme is None:
        return None
    values: dict[str, str] = {}
    unquoted = set()
    for found in PARAMETER.finditer(line, scheme.end()):
        name, quoted, bare = found[1].lower(), found[2], found[3]
        if name not in values:
            values[name] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            if quoted is None:
                unquoted.add(name)
    return Challenge(values, frozenset(unquoted))


def nulls(value: object, path: str = "") -> list[str]:
    """Where a JSON document has null: absent members must be absent."""
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [place for key, item in value.items() for place in nulls(item, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        return [place for number, item in enumerate(value) for place in nulls(item, f"{path}[{number}]")]
    return []


def texts(document: Mapping[str, Any], name: str) -> list[str]:
    """The strings of a list member; empty for anything else."""
    value = document.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

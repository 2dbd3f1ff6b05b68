"""What one check found: passed, failed with the cure, warned, or skipped with the reason; safe to print."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LONGEST = 600


class Verdict(StrEnum):
    """Failed: a client that exists does not get in, or a MUST is broken. Warned: it works, but not for everybody or not for long."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`topic` names the snippets of `snippets.py` that help; `group` and `check` are filled in by `examine`."""

    verdict: Verdict
    said: str
    cure: str = ""
    topic: str = ""
    group: str = ""
    check: str = ""

    def __post_init__(self) -> None:
        """Whatever a server sent, no control character of it reaches a terminal."""
        object.__setattr__(self, "said", plain(self.said, LONGEST))
        object.__setattr__(self, "cure", plain(self.cure, LONGEST))


class Stop(Exception):
    """A check ends early with this finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.said)
        self.finding = finding


def passed(said: str) -> Finding:
    return Finding(Verdict.PASSED, said)


def failed(said: str, cure: str, topic: str = "") -> Finding:
    return Finding(Verdict.FAILED, said, cure, topic)


def warned(said: str, cure: str, topic: str = "") -> Finding:
    return Finding(Verdict.WARNED, said, cure, topic)


def skipped(why: str) -> Finding:
    return Finding(Verdict.SKIPPED, why)


def plain(text: str, limit: int = 120) -> str:
    """Without escape codes, line breaks, bidirectional marks and the like; cut at `limit` characters."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(character if character.isprintable() else "?" for character in short)


def shown(value: object) -> str:
    """A value of somebody else's document, for a sentence."""
    if isinstance(value, str):
        return f'"{plain(value)}"'
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return "nothing" if value is None else plain(str(value))

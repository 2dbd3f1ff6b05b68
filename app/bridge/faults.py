"""What the bridge cannot do, each in one clear sentence, with nothing in it that a log must not hold."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

LONGEST = 200
SECRET = re.compile(r"[A-Za-z0-9_\-.~+/=]{24,}")


class Fault(Exception):
    """One sentence for the person at the other end of stderr."""


class Unreachable(Fault):
    """The network, or a server that is down: worth trying again. `sent`: the request may have been carried out."""

    def __init__(self, sentence: str, *, sent: bool = False) -> None:
        super().__init__(sentence)
        self.sent = sent


class NotSignedIn(Fault):
    """Nothing but signing in would help, and that was not wanted."""


class Denied(Fault):
    """An error of the authorization server (RFC 6749 §5.2); `word` is its code, an empty one when it sent none."""

    def __init__(self, sentence: str, word: str) -> None:
        super().__init__(sentence)
        self.word = word


def quoted(text: object) -> str:
    """Words of a stranger, fit for a terminal and a log: short, without control characters and whatever may be a secret."""
    if not isinstance(text, str):
        return ""
    visible = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * LONGEST])
    return SECRET.sub("…", " ".join(visible.split()))[:LONGEST]


def address(url: object) -> str:
    """A stranger's address, without the parts that may hold a secret: who is named in it, the query, the fragment."""
    if not isinstance(url, str):
        return "nothing"
    try:
        parts = urlsplit(url)
        bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else url
    except ValueError:
        bare = "something else"
    return "".join(letter if letter.isprintable() else " " for letter in bare[:LONGEST])

"""OAuth parameters: each at most once, an empty one is absent, nothing hostile (RFC 6749 §3.1 and §3.2)."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode

from app.protocol.errors import InvalidRequest

MAX_FIELDS = 60
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
REPEATABLE = frozenset({"resource", "audience"})  # RFC 8707 §2, RFC 8693 §2.1


class Params:
    """The decoded parameters of one request."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if value:
                self._values.setdefault(name, []).append(value)
        self.names = [name for name, _ in pairs]
        self._pairs = pairs

    def get(self, name: str) -> str | None:
        """The one value, or None. Raises InvalidRequest when it came twice or carries control characters."""
        value = self.verbatim(name)
        if value is not None and CONTROL.search(value):
            raise InvalidRequest("{name} contains control characters", name=name)
        return value

    def verbatim(self, name: str) -> str | None:
        """As `get`, whatever characters it has: `state` goes back as it came."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise InvalidRequest("{name} is included more than once", name=name)
        return values[0]

    def all(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return self._values.get(name, [])

    def required(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise InvalidRequest("{name} is missing", name=name)
        return value

    def having(self, name: str, value: str) -> Params:
        """With this value in place of what was sent."""
        return Params([*(pair for pair in self._pairs if pair[0] != name), (name, value)])

    def encoded(self) -> str:
        """All of them as they came, for a query string."""
        return urlencode(self._pairs)

    def refuse_repeats(self) -> None:
        """RFC 6749 §3.1: no parameter twice, known to us or not, empty or not."""
        seen: set[str] = set()
        for name in self.names:
            if name in seen and name not in REPEATABLE:
                raise InvalidRequest("a parameter is included more than once")
            seen.add(name)


def parse(encoded: bytes) -> Params:
    """Decodes `application/x-www-form-urlencoded` bytes (a body or a query string).

    Raises InvalidRequest for what is not UTF-8 or has more than MAX_FIELDS fields.
    """
    try:
        text = encoded.decode("ascii")
        return Params(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError as fault:  # UnicodeDecodeError is one
        raise InvalidRequest("the parameters are not well-formed") from fault

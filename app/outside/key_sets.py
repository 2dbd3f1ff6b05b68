"""Public keys that others publish at a `jwks_uri`, kept for a while (RFC 7517 §5, RFC 8414 §2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.outside.fetch import LEAST, Outside, Unfetchable

LIMIT = 64 * 1024  # bytes
STALE = timedelta(hours=1)  # how long an old set is believed when its host is away
REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys as they were published, when they were fetched, and until when they need not be fetched again."""

    keys: tuple[dict[str, Any], ...]
    fetched_at: datetime
    fresh_until: datetime

    def has(self, kid: object) -> bool:
        return kid is None or any(key.get("kid") == kid for key in self.keys)


class KeySets:
    """One per process. An unknown `kid` causes a fetch, but at most one a minute for each address."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._sets: dict[tuple[str, bool], KeySet] = {}

    async def keys(self, uri: str, kid: object, now: datetime, *, private: bool = False) -> tuple[dict[str, Any], ...]:
        """The keys at this address. Raises Unfetchable."""
        kept = self._sets.get((uri, private))
        if kept is not None and now < kept.fresh_until and (kept.has(kid) or now < kept.fetched_at + LEAST):
            return kept.keys
        usable = kept is not None and now < kept.fresh_until + STALE
        if kept is not None and usable and self._outside.faults.lately(uri, now):
            return kept.keys
        try:
            document = await self._outside.json(uri, limit=LIMIT, private=private)
        except Unfetchable as fault:
            self._outside.faults.saw(uri, str(fault), now)
            if kept is not None and usable:
                return kept.keys
            raise
        found = KeySet(keys_of(document.value), now, now + document.kept_for)
        if len(self._sets) >= REMEMBERED:
            del self._sets[next(iter(self._sets))]
        self._sets[uri, private] = found
        return found.keys


def keys_of(document: object) -> tuple[dict[str, Any], ...]:
    """The keys of a JWK set. Raises Unfetchable when it is none."""
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise Unfetchable("it is not a JWK set")
    return tuple(keys)

"""Public keys that others publish at a `jwks_uri`, kept for a while (RFC 7517 §5, RFC 8414 §2)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.outside.fetch import LEAST, Outside, Unfetchable
from app.protocol.words import Worded

LIMIT = 64 * 1024  # bytes
STALE = timedelta(hours=1)  # how long an old set is believed when its host is away
REMEMBERED = 1000
Keys = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys as they were published, when they were fetched, and until when they need not be fetched again."""

    keys: Keys
    fetched_at: datetime
    fresh_until: datetime

    def has(self, kid: object) -> bool:
        return kid is None or any(key.get("kid") == kid for key in self.keys)


class KeySets:
    """One per process. An unknown `kid` causes a fetch, but at most once a minute for each address; and a fetch that failed is
    not tried again so soon for those who have proven nothing."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._sets: dict[tuple[str, bool], KeySet] = {}

    async def keys(self, uri: str, kid: object, now: datetime, *, private: bool = False) -> Keys:
        """The keys at this address, for whom it is worth another try when that failed lately. Raises Unfetchable."""
        with suppress(Unfetchable):
            kept = self.kept(uri, kid, now, private=private)
            if kept is not None:
                return kept
        return await self.fetched(uri, now, private=private)

    def kept(self, uri: str, kid: object, now: datetime, *, private: bool = False) -> Keys | None:
        """The keys as far as they are known; None when they are to be fetched. Raises Unfetchable when that failed lately."""
        kept = self._sets.get((uri, private))
        if kept is not None and now < kept.fresh_until and (kept.has(kid) or now < kept.fetched_at + LEAST):
            return kept.keys
        fault = self._outside.faults.lately(uri, now, private=private)
        if fault is None:
            return None
        return self._stale(uri, private, now, fault)

    async def fetched(self, uri: str, now: datetime, *, private: bool = False) -> Keys:
        """The keys as they are published now. Raises Unfetchable."""
        try:
            document = await self._outside.json(uri, limit=LIMIT, private=private)
            keys = keys_of(document.value)
        except Unfetchable as fault:
            self._outside.failed(uri, fault, now, private=private)
            return self._stale(uri, private, now, fault)
        if len(self._sets) >= REMEMBERED:
            del self._sets[next(iter(self._sets))]
        self._sets[uri, private] = KeySet(keys, now, now + document.kept_for)
        return keys

    def _stale(self, uri: str, private: bool, now: datetime, fault: Worded) -> Keys:
        """The keys of before, as long as they are believed. Raises the fault."""
        kept = self._sets.get((uri, private))
        if kept is None or now >= kept.fresh_until + STALE:
            raise fault
        return kept.keys


def keys_of(document: object) -> Keys:
    """The keys of a JWK set. Raises Unfetchable when it is none."""
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise Unfetchable("it is not a JWK set")
    return tuple(keys)

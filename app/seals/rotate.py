"""Everything under an older master key is sealed with the newest, while the server runs (NIST SP 800-57 Part 1 §5.3.6)."""

from __future__ import annotations

from dataclasses import dataclass

from app import audit
from app.seals import store
from app.tokens.secrets import Unsealable
from app.world import World


@dataclass(frozen=True, slots=True)
class Count:
    """How many of one kind are under the newest key, were under an older one, and open with none that is set."""

    kind: str
    newest: int
    older: int
    lost: int


async def rotate(world: World, *, change: bool = True) -> list[Count]:
    """With `change`, those under an older key are sealed anew: each in a statement of its own, unless somebody was faster."""
    counts = [await _each(world, kind, change=change) for kind in store.KINDS]
    resealed = {count.kind: count.older for count in counts if count.older}
    if change and resealed:
        async with world.db.begin() as db:
            await audit.record(db, "seals.rotated", world.now(), resealed=resealed)
    return counts


async def _each(world: World, kind: store.Sealed, *, change: bool) -> Count:
    purpose = kind.purpose(world.secrets)
    newest = older = lost = 0
    after: store.Row | None = None
    while True:
        async with world.db.connect() as db:
            rows = await store.batch(db, kind, after)
        for row, sealed in rows:
            try:
                anew = purpose.resealed(sealed, kind.context(row))
            except Unsealable:
                lost += 1
                continue
            newest, older = newest + (anew is None), older + (anew is not None)
            if change and anew is not None:
                async with world.db.begin() as db:
                    await store.reseal(db, kind, row, sealed, anew)
        if len(rows) < store.BATCH:
            return Count(kind.name, newest, older, lost)
        after = rows[-1][0]

"""SQL of what is sealed: read in batches by key, changed only where it is still what was read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import providers, signing_keys, totp, upstream_accounts
from app.tokens.secrets import Purpose, Secrets

BATCH = 200
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """One table: `key` are the columns that name a row, of which the associated data are made."""

    name: str
    table: Table
    key: tuple[str, ...]
    more: tuple[str, ...]
    purpose: Callable[[Secrets], Purpose]
    context: Callable[[Row], bytes]


KINDS = (
    Sealed("signing keys", signing_keys, ("kid",), (), lambda s: s.signing_keys, lambda row: row[0].encode()),
    Sealed("keys of phones", totp, ("user_id",), (), lambda s: s.totp, lambda row: row[0].encode()),
    Sealed("providers", providers, ("name",), (), lambda s: s.provider_secrets, lambda row: row[0].encode()),
    Sealed(
        "tokens of users elsewhere",
        upstream_accounts,
        ("id",),
        ("user_id", "provider"),
        lambda s: s.upstream_tokens,
        lambda row: "\0".join((row[1], row[2], row[0])).encode(),
    ),
)


async def batch(db: AsyncConnection, kind: Sealed, after: Row | None) -> list[tuple[Row, bytes]]:
    """The rows behind `after`, by key: what the associated data are made of, and what is sealed."""
    c = kind.table.c
    key = [c[name] for name in kind.key]
    found = select(*key, *(c[name] for name in kind.more), c.sealed).where(c.sealed.is_not(None))
    if after is not None:
        found = found.where(tuple_(*key) > tuple_(*after[: len(key)]))
    return [(tuple(row[:-1]), row[-1]) for row in await db.execute(found.order_by(*key).limit(BATCH))]


async def reseal(db: AsyncConnection, kind: Sealed, row: Row, before: bytes, after: bytes) -> bool:
    """False when it changed meanwhile: then it was sealed anew already."""
    c = kind.table.c
    same = update(kind.table).where(c.sealed == before, *(c[name] == row[place] for place, name in enumerate(kind.key)))
    return (await db.execute(same.values(sealed=after).returning(c[kind.key[0]]))).first() is not None

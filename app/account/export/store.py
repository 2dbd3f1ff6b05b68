"""SQL of the export: every table that holds something of a user, in batches, without anything secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, case, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.tables import (
    api_keys,
    audit_events,
    browser_sessions,
    budgets,
    charge_denials,
    charges,
    connections,
    consents,
    identities,
    notes,
    passwords,
    tool_calls,
    upstream_accounts,
    users,
)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Section:
    """A table in the document: the columns that are told, and the key that orders it within a user."""

    name: str
    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...]
    owner: str = "user_id"


LISTED = ("created_at", "id")
OF = "budget_id"  # of one of their budgets, in place of their own id
ENTRY, DENIAL = ("budget_id", "id"), ("budget_id", "day", "tool", "reason", "calls")
# A new table with something of a user in it is a line here; fingerprints, hashes and sealed values stay out.
SECTIONS = (
    Section("profile", users, ("id", "email", "name", "language", "is_admin", "created_at"), ("id",), "id"),
    Section("password", passwords, ("changed_at",), ("user_id",)),
    Section(
        "sessions",
        browser_sessions,
        ("id", "created_at", "authenticated_at", "last_seen_at", "expires_at", "user_agent", "address"),
        LISTED,
    ),
    Section(
        "connections",
        connections,
        (
            "id",
            "client_id",
            "redirect_host",
            "resource",
            "scope",
            "created_at",
            "last_used_at",
            "expires_at",
            "revoked_at",
            "revoked_because",
        ),
        LISTED,
    ),
    Section(
        "consents",
        consents,
        ("client_id", "redirect_host", "resource", "scope", "given_at"),
        ("given_at", "client_id", "redirect_host", "resource"),
    ),
    Section(
        "api_keys",
        api_keys,
        ("id", "name", "scope", "created_at", "expires_at", "last_used_at", "revoked_at", "rotated_at"),
        LISTED,
    ),
    Section(
        "budgets", budgets, ("id", "kind", "allowance_sats", "funded_sats", "day", "day_sats", "day_calls"), ("id",)
    ),
    Section(
        "charges", charges, ("budget_id", "id", "at", "tool", "sats", "free_sats", "returned_sats", "state"), ENTRY, OF
    ),
    Section("denials", charge_denials, DENIAL, DENIAL[:4], OF),
    Section(
        "identities",
        identities,
        ("issuer", "subject", "provider", "shown", "created_at", "signs_in_since", "last_used_at"),
        ("issuer", "subject"),
    ),
    Section(
        "services",
        upstream_accounts,
        ("provider", "subject", "shown", "scope", "created_at", "refreshed_at", "expires_at", "broken_at"),
        ("provider",),
    ),
    Section("usage", tool_calls, ("day", "client_id", "tool", "calls"), ("day", "client_id", "tool")),
    Section("notes", notes, ("id", "text", "created_at"), LISTED),
    Section("events", audit_events, ("id", "at", "event", "client_id", "address", "detail"), ("id",)),
)


def _own_address(user_id: str) -> ColumnElement[Any]:
    """Not where an admin was who did something to them."""
    c = audit_events.c
    theirs = and_(c.actor.in_(("user", "operator")), c.actor_id.is_distinct_from(user_id))
    return case((theirs, None), else_=c.address).label("address")


async def rows(engine: AsyncEngine, section: Section, user_id: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Batches in the order of the key. Between two of them no connection is held: whoever downloads may be slow."""
    c = section.table.c
    key: list[ColumnElement[Any]] = [c[name] for name in section.key]
    shown: list[ColumnElement[Any]] = [c[name] for name in dict.fromkeys((*section.columns, *section.key))]
    if section.table is audit_events:
        shown[shown.index(c.address)] = _own_address(user_id)
    owned = select(budgets.c.id).where(budgets.c.user_id == user_id)
    whose = c.budget_id.in_(owned) if section.owner == OF else c[section.owner] == user_id
    found = select(*shown).where(whose).order_by(*key).limit(BATCH)
    last: tuple[Any, ...] | None = None
    while True:
        async with engine.connect() as db:
            batch = list(await db.execute(found if last is None else found.where(tuple_(*key) > tuple_(*last))))
        if batch:
            yield [{name: row._mapping[name] for name in section.columns} for row in batch]
        if len(batch) < BATCH:
            return
        last = tuple(batch[-1]._mapping[name] for name in section.key)

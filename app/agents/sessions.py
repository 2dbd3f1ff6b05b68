"""Agents' sessions: begun by work or by sats, each with a budget of the same id; and the short tokens that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Session:
    """`id` is also the budget's. `kind`: pow, lightning, or paid (at a 402). `project_id` is absent where none was named."""

    id: str
    project_id: str | None
    kind: str
    scope: tuple[str, ...]
    jkt: str | None
    created_at: datetime
    expires_at: datetime

    @property
    def subject(self) -> str:
        """`sub` of its tokens, as the seed spells it."""
        return f"mcp:{self.project_id or 'none'}:{self.id}"


async def begin(
    db: AsyncConnection,
    session: Session,
    now: datetime,
    *,
    allowance_sats: int,
    funded_sats: int,
    max_calls_per_minute: int | None,
    refresh_fingerprint: bytes | None,
    payment_hash: str | None = None,
) -> bool:
    """The session with its budget, in the transaction that claims what paid for it. False when there is one of this id."""
    raise NotImplementedError

"""What was offered for sats, and how far it has come: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SESSION, DEMO = "session", "demo"  # what /api/mcp/start and the demo sell; other doors have words of their own


@dataclass(frozen=True, slots=True)
class Quote:
    """One invoice of ours. `id` is a UUID and a secret between us and who asked; `payment_hash` is 64 hex digits.

    `purpose` and `subject` say what it buys, and only a claim for the same gets it; `commitment` is who alone may claim it,
    where the buyer said so. `settled_at`: the node says it was paid, with the preimage that fits; `claimed_by`: what it bought,
    once.
    """

    id: str
    payment_hash: str
    bolt11: str
    sats: int
    purpose: str
    subject: str
    commitment: str | None
    created_at: datetime
    expires_at: datetime
    settled_at: datetime | None = None
    claimed_at: datetime | None = None
    claimed_by: str | None = None

    @property
    def state(self) -> str:
        return "claimed" if self.claimed_at else "paid" if self.settled_at else "pending"

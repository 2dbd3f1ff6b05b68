"""The JSON of projects, budgets and of what was spent."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from app.admin.api.models import Told


class Project(Told):
    """`public_key` is what agents send as `X-LW-Public`; `allowance_sats` a day are for work, `session_sats` the price of a
    session by Lightning, and what it is worth."""

    id: str
    public_key: str
    name: str
    scope: list[str]
    allowance_sats: int
    session_sats: int
    max_calls_per_minute: int
    bits_floor: int
    bits_ceiling: int
    created_at: datetime
    paused_at: datetime | None = None
    revoked_at: datetime | None = None


class Projects(Told):
    rows: list[Project]


class Budget(Told):
    """Of an API key or a connection, whose id it has. `remaining_sats` is what both have left today."""

    id: str
    kind: str
    user_id: str | None = None
    email: str | None = None
    name: str | None = None
    allowance_sats: int
    funded_sats: int
    day_sats: int
    day_calls: int
    remaining_sats: int
    max_calls_per_minute: int | None = None
    ended_at: datetime | None = None


class Budgets(Told):
    rows: list[Budget]


class Line(Told):
    """Sums of the days asked for; `day`, `project` and `tool` are those that the line is about."""

    day: date | None = None
    project: str | None = None
    name: str | None = None
    tool: str | None = None
    sats_in: int
    calls: int
    sats_spent: int
    refunds: int
    sats_refunded: int
    denied_budget_exceeded: int
    denied_rate_limited: int
    denied_idempotency_mismatch: int
    denied_session_ended: int


class Settlement(Told):
    """A payment through the facilitator. `amount` is in the asset's smallest unit; `bought` is what was given for it; `said` are
    the facilitator's last words about one that it did not settle, or whose outcome is unknown."""

    id: str
    state: Literal["under_way", "unknown", "settled", "given", "void"]
    started_at: datetime
    settled_at: datetime | None = None
    subject: str
    sats: int | None = None
    network: str
    asset: str | None = None
    amount: str | None = None
    payer: str | None = None
    transaction: str | None = None
    bought: str | None = None
    said: str | None = None


class Spending(Told):
    """`since` and `until` are days, both counted."""

    since: date
    until: date
    total: Line
    days: list[Line]
    projects: list[Line]
    tools: list[Line]

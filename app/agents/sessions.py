"""Agents' sessions: begun by work or by sats, each with a budget of the same id; and the short tokens that stand for them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from app.agents import store
from app.agents.store import Session
from app.metering.budgets import open_budget
from app.metering.model import AGENT
from app.protocol.types import Authorization
from app.tokens.issue import access_token
from app.tokens.refresh import RefreshToken, written
from app.world import World

TOKEN_SECONDS = 600  # the seed's
WORK_LIFE = timedelta(hours=24)  # of what costs a moment of computing
PAID_LIFE = timedelta(days=90)  # of what somebody paid for
NO_PROJECT = "lightning"  # `client_id` of who paid at a 402, and named no project


async def begin(
    db: AsyncConnection,
    session: Session,
    now: datetime,
    *,
    allowance_sats: int,
    funded_sats: int,
    max_calls_per_minute: int | None,
    payment_hash: str | None = None,
) -> bool:
    """The session with its budget, in the transaction that claims what paid for it. False when there is one of this id."""
    raw = None if payment_hash is None else bytes.fromhex(payment_hash)
    if not await store.add_session(db, session, raw):
        return False
    await open_budget(
        db,
        session.id,
        AGENT,
        now,
        allowance_sats=allowance_sats,
        funded_sats=funded_sats,
        max_calls_per_minute=max_calls_per_minute,
        expires_at=session.expires_at,
    )
    return True


def authorization(session: Session, world: World) -> Authorization:
    """What a token of this session says. It hangs from the session and its project: ending either voids it."""
    return Authorization(
        subject=session.subject,
        client_id=session.project_id or NO_PROJECT,
        scope=session.scope,
        resource=session.resource,
        via=f"mcp_{session.kind}",
        expires_at=session.expires_at,
        jkt=session.jkt,
    )


def jwt_of(session: Session, world: World, now: datetime) -> tuple[str, int]:
    """A token, and for how many seconds it is good: never longer than the session."""
    lifetime = min(TOKEN_SECONDS, max(1, int((session.expires_at - now).total_seconds())))
    allowed = authorization(session, world)
    return access_token(allowed, world.live.ring, world.settings.issuer, now=now, lifetime=lifetime), lifetime


def refresh_token(session: Session, world: World) -> str:
    return written(RefreshToken(session.id, session.refresh_counter), world.secrets.refresh)

"""What the user answered to an app's request is remembered, and recorded (RFC 6749 §4.1.1)."""

from __future__ import annotations

from datetime import UTC, datetime

from app import audit
from app.oauth import store
from app.protocol.pending import Pending
from app.protocol.redirect_uri import shown_host
from app.protocol.types import Viewer
from app.world import World


async def record(world: World, pending: Pending, viewer: Viewer | None, *, allowed: bool) -> None:
    """`viewer` is None where somebody says no before they have signed in."""
    now = world.now()
    async with world.db.begin() as db:
        if allowed and viewer is not None:
            # As of the request, not of the click: what changed since then was perhaps not on the page (CIMD draft §6.3).
            asked_at = datetime.fromtimestamp(pending.started_at, UTC)
            await store.remember_consent(db, viewer.user_id, pending, asked_at)
        await audit.record(
            db,
            "consent.given" if allowed else "consent.refused",
            now,
            user_id=viewer.user_id if viewer else None,
            client_id=pending.client_id,
            scope=" ".join(pending.scope),
            redirect_host=shown_host(pending.redirect_uri),
        )

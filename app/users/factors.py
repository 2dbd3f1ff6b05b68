"""What follows when a password, passkey or second step changes: others are signed out, devices forgotten, and it is on record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app import audit
from app.protocol.types import Viewer
from app.users import store
from app.users.devices import store as devices
from app.users.passkeys import store as passkeys
from app.users.totp import store as totp


async def changed(db: AsyncConnection, viewer: Viewer, event: str, address: str, now: datetime, **detail: Any) -> None:
    """In the transaction of the change: this browser alone stays signed in, and none is remembered."""
    await store.sign_out_everywhere(db, viewer.user_id, but=viewer.session_id)
    await devices.forget(db, viewer.user_id)
    await audit.record(db, event, now, user_id=viewer.user_id, address=address, **detail)


async def reset(db: AsyncConnection, user_id: str, now: datetime) -> tuple[bool, int]:
    """For somebody who lost their phone: only the password is left. Whether the second step was on, and how many passkeys went."""
    await store.hold(db, user_id)
    had_totp, gone = await totp.turn_off(db, user_id), await passkeys.remove_all(db, user_id)
    await store.sign_out_everywhere(db, user_id)
    await devices.forget(db, user_id)
    await audit.record(db, "factors.reset", now, user_id=user_id, totp=had_totp, passkeys=gone)
    return had_totp, gone

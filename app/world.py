"""What a request may touch, handed to every endpoint; nothing is configured at import, and nobody else calls the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import HotPool
from app.last_used import LastUsed
from app.settings import Settings
from app.tokens.live import Live
from app.tokens.secrets import Secrets


@dataclass(frozen=True, slots=True)
class World:
    """One per process."""

    settings: Settings
    secrets: Secrets
    db: AsyncEngine
    pool: HotPool
    live: Live
    last_used: LastUsed
    hashing: asyncio.Semaphore  # as many password hashes at once as there are processors
    now: Callable[[], datetime]

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(seconds=self.settings.access_token_lifetime)

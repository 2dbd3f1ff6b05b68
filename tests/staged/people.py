"""Ada, who has an account where there is no house in this process to make one, and her browser and app at any replica."""

from __future__ import annotations

from datetime import UTC, datetime

from app.db.engine import engine as engine_of
from app.hashing import Hashing
from app.users import accounts, passwords
from tests.actors import PASSWORD, App, Browser
from tests.staged.replica import Replica

EMAIL = "ada@example.com"


async def add_ada(dsn: str, now: datetime | None = None) -> str:
    """The id of her account."""
    engine, hashing = engine_of(dsn, 2), Hashing(1)
    try:
        hashed = await passwords.hashed(PASSWORD, hashing)
        async with engine.begin() as db:
            user = await accounts.create(db, EMAIL, "", hashed, now or datetime.now(UTC), is_admin=False)
        assert user is not None
        return user.id
    finally:
        hashing.close()
        await engine.dispose()


def at(app: App, replica: Replica) -> App:
    """The same app, asking there from now on."""
    app.url = replica.url
    return app


def seen_at(browser: Browser, replica: Replica) -> Browser:
    """The same browser with the same cookies, led to another replica by a load balancer."""
    browser.url = replica.url
    return browser

"""Letters to people about what happened to their account, so that they know when it was not they (NIST SP 800-63B-4 §4.6)."""

from __future__ import annotations

from app.mail import Letter
from app.users import letters, store
from app.world import World


def notify(world: World, user_id: str, what: str, **facts: str) -> None:
    """After the deed is committed; `what` is one of `letters.NOTICES`. Nothing without mail, nothing to whoever is gone."""
    now = world.now()

    async def errand() -> Letter | None:
        async with world.db.connect() as db:
            user = await store.by_id(db, user_id)
        return letters.notice(user, what, world.settings, now, **facts) if user else None

    world.post.soon(errand)


def say_goodbye(world: World, user_id: str, old: str) -> None:
    """To the mailbox that the account had until now."""
    now = world.now()

    async def errand() -> Letter | None:
        async with world.db.connect() as db:
            user = await store.by_id(db, user_id)
        return letters.goodbye(user, old, now) if user else None

    world.post.soon(errand)

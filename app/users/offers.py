"""What the sign-in page offers besides a password: a link by mail, an account of one's own."""

from __future__ import annotations

from app.world import World


def offers(world: World) -> dict[str, bool]:
    return {"can_mail": world.settings.can_mail, "can_sign_up": world.settings.sign_up == "open"}

"""What the sign-in page offers besides a password: a link by mail, an account of one's own, services elsewhere."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from app.protocol.errors import NotFound
from app.web.http import Endpoint
from app.world import World


def offers(world: World) -> dict[str, bool]:
    own = has_own_ways(world)
    return {
        "has_passwords": own,
        "can_mail": own and world.settings.can_mail,
        "can_sign_up": can_sign_up(world),
    }


def has_own_ways(world: World) -> bool:
    """People sign in here by password, passkey or link; else by providers only."""
    return world.settings.sign_in == "any"


def can_sign_up(world: World) -> bool:
    """By themselves, with an address that a letter proves."""
    return has_own_ways(world) and world.settings.sign_up == "open" and world.settings.can_mail


async def services(world: World, now: datetime) -> list[tuple[str, str]]:
    """Name and title of those that one signs in with."""
    return [(provider.name, provider.title) for provider in await world.providers.to_sign_in(now)]


def own_way(endpoint: Endpoint) -> Endpoint:
    """An address that there is only where people sign in here in a way of our own."""

    async def open_where_offered(request: Request, world: World) -> Response:
        if not has_own_ways(world):
            raise NotFound("people sign in here by another service only")
        return await endpoint(request, world)

    return open_where_offered

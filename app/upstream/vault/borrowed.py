"""What a tool is given of its caller's account elsewhere: requests in their name, until the service says no (RFC 6750 §3.1)."""

from __future__ import annotations

from typing import Any

import httpx2

from app.upstream import talk
from app.upstream.faults import Away
from app.upstream.vault.fetch import Fresh, fresh
from app.world import World

AWAY = frozenset({502, 503, 504})


class Borrowed:
    """An account that was connected. The token stays good for as long as a tool may take; nobody keeps it longer."""

    def __init__(self, world: World, scope: tuple[str, ...], held: Fresh) -> None:
        self._world = world
        self._asked = scope
        self._held = held

    @property
    def access_token(self) -> str:
        return self._held.access_token

    @property
    def scope(self) -> tuple[str, ...]:
        return self._held.account.scope

    @property
    def shown(self) -> str:
        """What its user knows it by."""
        return self._held.account.shown or ""

    async def request(self, method: str, url: str, **options: Any) -> httpx2.Response:
        """One request with the token. When the service does not accept it, once more with a new one, if there is any.

        Raises NotConnected when there is none, and Away when the service does not answer: a tool may let both through.
        """
        response = await talk.send(self._world, method, url, self.access_token, **options)
        if response.status_code == 401:
            before, account = self._held, self._held.account
            self._held = await fresh(
                self._world, account.user_id, account.provider, self._asked, unlike=before.account.generation
            )
            response = await talk.send(self._world, method, url, self.access_token, **options)
        if response.status_code in AWAY:
            raise Away(f"{self._held.provider.title} answered with status {response.status_code}")
        return response

    async def get(self, url: str, **options: Any) -> httpx2.Response:
        return await self.request("GET", url, **options)

    async def profile(self) -> Any:
        """What the service says of its user, as JSON. Raises as `request` does."""
        provider = self._held.provider
        assert provider.connect is not None
        at = await talk.places(self._world, provider, provider.connect, self._world.now())
        if not at.userinfo:
            raise Away(f"{provider.title} does not say who its user is")
        response = await self.get(at.userinfo, headers={"Accept": provider.profile.accept})
        try:
            return response.json() if response.status_code == 200 else None
        except (ValueError, RecursionError):
            return None


async def borrow(world: World, user_id: str, name: str, scope: tuple[str, ...]) -> Borrowed:
    """Raises NotConnected and Away."""
    return Borrowed(world, scope, await fresh(world, user_id, name, scope))

"""Who has asked to be told of changes: a GET of the handshake era, or a `subscriptions/listen` (MCP 2026-07-28)."""

from __future__ import annotations

import asyncio


class Listener:
    """`wants` are methods. What it was not told yet is a set: that a list has changed need not be said twice."""

    def __init__(self, wants: frozenset[str]) -> None:
        self._wants = wants
        self._told: dict[str, None] = {}
        self._woken = asyncio.Event()
        self.left = False

    def tell(self, method: str) -> None:
        if method in self._wants:
            self._told[method] = None
            self._woken.set()

    def leave(self) -> None:
        self.left = True
        self._woken.set()

    async def wait(self, seconds: float) -> list[str]:
        """What it is to be told now, after at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        told, self._told = list(self._told), {}
        return told

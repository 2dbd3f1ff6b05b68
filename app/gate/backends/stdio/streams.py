"""Streams of what changes: GET of the handshake era, `subscriptions/listen` of 2026-07-28. They end with the caller's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from starlette.types import Receive

from app.gate.backends.stdio.asked import Asked
from app.gate.backends.stdio.call import Json
from app.gate.backends.stdio.eras import Learned, to_client
from app.gate.backends.stdio.faults import INVALID_PARAMS, Fault, later
from app.gate.backends.stdio.listeners import Listener
from app.gate.backends.stdio.reply import Reply
from app.protocol.types import Principal
from app.world import World

SILENCE = 15.0  # seconds; then a sign of life, and a look whether the caller may still listen
LISTENERS = 1000  # of one process
CHANGED = {f"{name}ListChanged": f"notifications/{name}/list_changed" for name in ("tools", "prompts", "resources")}


@dataclass(frozen=True, slots=True)
class Listening:
    """Who listens, and among whom."""

    world: World
    principal: Principal
    listeners: set[Listener]

    def check_room(self) -> None:
        """Before anything is answered. Raises Fault."""
        if len(self.listeners) >= LISTENERS:
            raise later("has too many listeners", 60)

    async def last(self, wants: frozenset[str], receive: Receive, reply: Reply, event: Callable[[str], Json]) -> bool:
        """While the caller stays and may. True when it may no longer."""
        listener = Listener(wants)

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            listener.leave()

        watching = asyncio.create_task(watch())
        self.listeners.add(listener)
        try:
            while self._may_listen() and not listener.left:
                told = await listener.wait(SILENCE)
                for method in told:
                    await reply.event(event(method))
                if not told and not listener.left:
                    await reply.keep_alive()
        finally:
            watching.cancel()
            self.listeners.discard(listener)
        return not listener.left

    def _may_listen(self) -> bool:
        world, now = self.world, self.world.now().timestamp()
        valid = now < self.principal.expires_at
        return valid and world.live.revocations.clear(self.principal, now, world.settings.revocation_staleness)


async def listen_as_before(listening: Listening, learned: Learned, receive: Receive, reply: Reply) -> None:
    """GET (MCP 2025-11-25, "Listening for Messages from the Server"); 405 where nothing will ever come.
    Raises Fault."""
    wants = frozenset(_changing(learned).values())
    if not wants:
        await reply.bare(405, {b"allow": b"POST"})
        return
    listening.check_room()
    await reply.keep_alive()
    await listening.last(wants, receive, reply, lambda method: {"jsonrpc": "2.0", "method": method})
    await reply.close()


async def listen(listening: Listening, request: Asked, learned: Learned, receive: Receive, reply: Reply) -> None:
    """`subscriptions/listen`: acknowledged with what will be told of, then told, each with the id of the subscription.
    Raises Fault."""
    if not request.takes_events:
        await reply.bare(406)
        return
    asked_for = request.message["params"].get("notifications")
    if not isinstance(asked_for, dict):
        raise Fault(INVALID_PARAMS, "params.notifications names what to be told of", 400)
    honoured = {name: method for name, method in _changing(learned).items() if asked_for.get(name) is True}
    identifier = request.message["id"]
    meta = {SUBSCRIPTION_ID_META_KEY: identifier}

    def event(method: str, **params: Any) -> Json:
        return {"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}}

    listening.check_room()
    acknowledged = dict.fromkeys(honoured, True)
    await reply.event(event("notifications/subscriptions/acknowledged", notifications=acknowledged))
    if await listening.last(frozenset(honoured.values()), receive, reply, event):
        result = to_client(request.method, {"_meta": meta}, learned)
        await reply.last({"jsonrpc": "2.0", "id": identifier, "result": result})
    else:
        await reply.close()


def _changing(learned: Learned) -> dict[str, str]:
    """What this server says it will tell of."""
    found = {}
    for name, method in CHANGED.items():
        capability = learned.capabilities.get(name.removesuffix("ListChanged"))
        if isinstance(capability, dict) and capability.get("listChanged") is True:
            found[name] = method
    return found

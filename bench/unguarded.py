"""The same tools behind the same SDK and the same edge, without the guard, for the difference: `python -m bench.unguarded PORT`."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from datetime import UTC, datetime

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from app.cli.running import OPTIONS, Server
from app.gate.server import build
from app.gate.tool import load_tools
from app.operate import logs
from app.protocol.types import Principal
from app.settings.read import load
from app.web.edge import Edge
from app.world import world_of


def somebody() -> Principal:
    """A principal such as the guard would have found."""
    now = int(time.time())
    return Principal(
        subject="usr_000000000000000000000000",
        client_id="client_000000000000000000000000",
        scope=frozenset({"read", "write"}),
        via="authorization_code",
        issued_at=now,
        expires_at=now + 3600,
        handles=("usr_000000000000000000000000",),
        token_id="unguarded",
        connection_id="con_000000000000000000000000",
        revocable_since=now,
    )


async def serve(port: int) -> None:
    settings = load()
    async with world_of(settings, lambda: datetime.now(UTC)) as world:
        manager = build(world, load_tools())
        logs.configure(settings.log_level)
        principal = somebody()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["state"]["principal"] = principal
            await manager.handle_request(scope, receive, send)

        options = OPTIONS | {
            "lifespan": "off",
            "http": "httptools",
        }  # uvicorn as it is: what is there without Gatehouse
        gc.collect()
        gc.freeze()  # as Gatehouse does once it is put together
        async with manager.run():
            # Gatehouse's own server, so that what it sets for its process holds here too.
            edge = Edge({"/mcp": app}, app, world)
            config = uvicorn.Config(edge, host="127.0.0.1", port=port, **options)
            await Server(config, lambda: None).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))

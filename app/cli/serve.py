"""`gatehouse serve`: production, on a Postgres of your own and behind a proxy that speaks TLS."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import structlog
import typer

from app.cli.console import Refused
from app.cli.operating import configured, data_dir, migrate_if_needed, operating, secret_key, setting
from app.cli.running import Host, Port, address, claimed, serve_here
from app.cli.supervisor import supervised
from app.clock import Clock
from app.operate import logs
from app.settings.read import Settings
from app.tokens.rotate import ensure_key


def serve(
    given_host: Host = None,
    given_port: Port = None,
    workers: Annotated[int, typer.Option(help="Processes; all state is in Postgres.", min=1, max=64)] = 1,
) -> None:
    """Serve with GATEHOUSE_PUBLIC_URL and GATEHOUSE_DATABASE_URL."""
    from app.main import create_app  # half a second that the other commands need not wait

    logs.configure(setting("LOG_LEVEL") or "info")
    host, port = address(given_host, given_port)
    missing = [f"GATEHOUSE_{name} is not set" for name in ("PUBLIC_URL", "DATABASE_URL") if not setting(name)]
    if missing:
        raise Refused("the configuration has faults:\n  " + "\n  ".join(missing), 2)
    place = data_dir()
    settings = configured(secret_key=secret_key(place), host=host, port=port, data_dir=place)
    migrate_if_needed(settings, allowed=settings.auto_migrate)
    asyncio.run(_ensure_key(settings))
    listener = claimed(host, port)
    log = structlog.get_logger("gatehouse.serve")

    def ready() -> None:
        log.info("open", issuer=settings.issuer, host=host, port=port, workers=workers)

    if workers == 1:
        serve_here(create_app(settings, Clock()), listener, ready, drain_seconds=settings.drain_seconds)
        return
    listener.close()
    # The workers read the settings from the environment, as this process did; what was generated goes with them.
    os.environ["GATEHOUSE_SECRET_KEY"] = ",".join(key.get_secret_value() for key in settings.secret_key)
    os.environ["GATEHOUSE_DATA_DIR"] = str(place)
    os.environ["GATEHOUSE_HOST"], os.environ["GATEHOUSE_PORT"] = host, str(port)
    ready()
    supervised(settings, host=host, port=port, workers=workers)


async def _ensure_key(settings: Settings) -> None:
    async with operating(settings) as world:
        await ensure_key(world.db, world.secrets.signing_keys, world.now(), lifetime=world.token_lifetime)

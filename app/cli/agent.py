"""`gatehouse agent`: an MCP server on standard input and output, for agents that have no account but can work or pay."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from app.bridge.agent import Agent
from app.bridge.faults import Fault
from app.bridge.options import Options
from app.bridge.wallet import Wallet
from app.bridge.wire import is_safe, opened
from app.cli.console import Refused


def agent(
    url: Annotated[str, typer.Option("--url", envvar="LIVEAUTH_API_BASE", metavar="URL", help="The Gatehouse.")],
    key: Annotated[
        str, typer.Option(envvar="LIVEAUTH_API_KEY", metavar="LA_PK", help="The project's public key; without: a demo.")
    ] = "",
    wallet_env: Annotated[
        str,
        typer.Option(metavar="NAME", help="The variable with the wallet's URL: lnbits://ADMIN-KEY@host, or pretend:"),
    ] = "",
    most_sats: Annotated[int, typer.Option(min=0, help="Sats that may be spent while it runs.")] = 100,
    pay: Annotated[bool, typer.Option("--pay", help="Pay for the session rather than work for it.")] = False,
    ca_file: Annotated[Path | None, typer.Option(help="Further certificate authorities (PEM).")] = None,
) -> None:
    """Serve the tools liveauth_mcp_* and those behind /mcp; work is done, tokens are attached and renewed by itself."""
    origin = _origin(url)
    wallet_url = os.environ.get(wallet_env, "") if wallet_env else ""
    if wallet_env and not wallet_url:
        raise Refused(f"the environment has no {wallet_env}", 2)

    async def run() -> None:
        from app.bridge.seven import serve

        async with opened(Options(origin, Path(), ca_file=ca_file)) as http:
            wallet = Wallet(wallet_url, origin, most_sats, http) if wallet_url else None
            await serve(Agent(http, origin, key, wallet, pays=pay))

    try:
        asyncio.run(run())
    except Fault as fault:
        raise Refused(str(fault)) from None
    except KeyboardInterrupt:
        raise Refused("interrupted") from None


def _origin(url: str) -> str:
    """Of the address of the server or of its /mcp."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    if not is_safe(origin, origin):
        raise Refused(f"{url} is not https", 2)
    return origin

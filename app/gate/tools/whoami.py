"""Tool `whoami`: in whose name a client is calling."""

from __future__ import annotations

from pydantic import BaseModel

from app.gate.tool import Caller, tool


class Whoami(BaseModel):
    """What the caller's token says; `expires_at` in seconds since 1970."""

    sub: str
    client: str
    via: str
    scopes: list[str]
    expires_at: int


@tool(scope="read")
async def whoami(caller: Caller) -> Whoami:
    """Tells in whose name, through which client and with which scopes you are calling."""
    principal = caller.principal
    return Whoami(
        sub=principal.subject,
        client=principal.client_id,
        via=principal.via,
        scopes=sorted(principal.scope),
        expires_at=principal.expires_at,
    )

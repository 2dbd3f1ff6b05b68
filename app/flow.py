"""The thread through the browser steps: a pending authorization, sealed into the `req` of every URL and form (OAuth 2.1 §4.1)."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from app.protocol.errors import InvalidRequest
from app.protocol.pending import Pending, unpacked
from app.tokens.secrets import Unsealable, b64, unb64
from app.traces.recording import note
from app.world import World


def sealed(pending: Pending, world: World) -> str:
    return b64(world.secrets.pending.seal(pending.packed()))


def opened(req: str | None, world: World, now: datetime) -> Pending:
    """Raises InvalidRequest for one that is not ours or too old."""
    try:
        pending = unpacked(world.secrets.pending.open(unb64(req or "")))
    except (Unsealable, ValueError) as fault:
        raise InvalidRequest("this page does not belong to a sign-in; start again from your app") from fault
    note(client_id=pending.client_id, link=pending.code_challenge, scope=list(pending.scope))
    if pending.expired(now):
        raise InvalidRequest("this sign-in took too long; start again from your app")
    return pending


def step(path: str, req: str) -> str:
    """The URL of a step: every step returns to /authorize/continue, and none knows another."""
    return f"{path}?{urlencode({'req': req})}"


def after(req: str | None) -> str:
    """Where a finished step sends the browser. There is no other place to return to, so no open redirect."""
    return step("/authorize/continue", req) if req else "/account"

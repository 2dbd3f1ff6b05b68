"""Somebody who was sent to a service: what we know when they come back, good once, in the browser that left (RFC 9700 §2.1, §4.7)."""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.settings.read import Settings
from app.tokens.secrets import Unsealable, fingerprint, new_secret
from app.upstream import store
from app.web import sessions
from app.world import World

LIFETIME = timedelta(minutes=10)
COOKIE, STATE = "gh_flow_", "gh_state_"
SIGN_IN, LINK, CONNECT = "sign-in", "link", "connect"
OTHER_BROWSER, REPLAYED, UNKNOWN = "another browser", "used before", "unknown or too old"


@dataclass(frozen=True, slots=True)
class Flow:
    """`user_id` is who was signed in, where that must stay so; `req` is what it goes on with (app/web/flow.py)."""

    provider: str
    purpose: str
    verifier: str
    nonce: str
    scope: tuple[str, ...]
    req: str | None = None
    user_id: str | None = None

    def packed(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def new(
    provider: str, purpose: str, scope: tuple[str, ...], *, req: str | None = None, user_id: str | None = None
) -> Flow:
    """With a verifier (RFC 7636 §4.1) and a nonce of its own."""
    return Flow(provider, purpose, new_secret(""), new_secret(""), scope, req, user_id)


def unpacked(packed: bytes) -> Flow:
    fields = json.loads(packed)
    return replace(Flow(**fields), scope=tuple(fields["scope"]))


def cookie_name(settings: Settings) -> str:
    return f"{sessions.cookie_name(settings)}-flow"


def new_browser() -> str:
    return new_secret(COOKIE)


def browser(request: Request, world: World) -> str | None:
    """The secret of this browser's flow cookie. One of its own: the session's changes with every sign-in, in another tab too."""
    value = request.cookies.get(cookie_name(world.settings), "")
    return value if value.startswith(COOKIE) and len(value) < 100 else None


def set_cookie(response: Response, world: World, secret: str) -> None:
    response.set_cookie(
        cookie_name(world.settings),
        secret,
        max_age=3600,
        path="/",
        secure=world.settings.is_https,
        httponly=True,
        samesite="lax",
    )


async def begin(world: World, flow: Flow, secret: str, now: datetime) -> str:
    """The `state` under which it is found again; only a fingerprint of it is kept."""
    state = new_secret(STATE)
    sealed = world.secrets.upstream_flow.seal(flow.packed(), state.encode())
    key, owner = fingerprint(state), fingerprint(secret)
    await store.add_flow(world.pool, key, owner, flow.purpose, sealed, now + LIFETIME)
    return state


async def claim(world: World, state: str, secret: str | None, now: datetime) -> Flow | str:
    """The flow, for the one request that uses it up; or why there is none for this request. In another browser nothing is
    used up: whoever lures somebody to a callback does not end their sign-in."""
    key = fingerprint(state)
    if secret is not None:
        sealed = await store.claim_flow(world.pool, key, fingerprint(secret), now)
        if sealed is not None:
            try:
                return unpacked(world.secrets.upstream_flow.open(sealed, state.encode()))
            except Unsealable:
                return UNKNOWN
    found = await store.look_at_flow(world.pool, key, now)
    if found is None:
        return UNKNOWN
    is_theirs = secret is not None and hmac.compare_digest(found.browser, fingerprint(secret))
    return REPLAYED if is_theirs or found.consumed else OTHER_BROWSER

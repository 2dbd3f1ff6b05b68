"""What a sign-in interrupted, kept with a link that goes by mail: it goes on only in the browser that waits for it.

A link that is opened elsewhere signs in there, and no more: the app waits in the first browser, and nobody is to be led
into an authorization that somebody else began in their name.
"""

from __future__ import annotations

import hmac
from datetime import datetime

from starlette.requests import Request

from app.protocol.errors import InvalidRequest
from app.tokens.secrets import fingerprint
from app.users.store import Link
from app.web import sessions
from app.web.flow import is_pending, opened
from app.world import World

LONGEST = 8000  # characters of a sealed request


def kept(req: str | None, world: World, now: datetime) -> str | None:
    """The `req` to be kept. Raises InvalidRequest for one that is not ours or too old."""
    if is_pending(req):
        opened(req, world, now)
    if req and len(req) > LONGEST:
        raise InvalidRequest("this page does not belong to a sign-in; start again from your app")
    return req


def goes_on(link: Link, request: Request, world: World) -> str | None:
    """What to go on with here, if it is this browser that waits."""
    secret = sessions.cookie(request, world)
    if secret is None or link.browser is None:
        return None
    return link.req if hmac.compare_digest(link.browser, fingerprint(secret)) else None


def is_elsewhere(link: Link, request: Request, world: World) -> bool:
    """True when an app waits, in another browser."""
    return is_pending(link.req) and goes_on(link, request, world) is None

"""POST /device_authorization: a device without a browser asks for a code that its user types elsewhere (RFC 8628 §3.1, §3.2)."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.clients.authenticate import authenticated_client
from app.limits import NEW_DEVICE, hit
from app.oauth.device import store
from app.protocol.client_metadata import DEVICE_CODE
from app.protocol.errors import TemporarilyUnavailable, UnauthorizedClient
from app.protocol.scope import granted
from app.protocol.user_code import normal, shown
from app.tokens.secrets import DEVICE, fingerprint, new_secret, new_user_code
from app.traces.recording import note
from app.web.http import client_address, form, no_store
from app.world import World

LIFETIME = timedelta(minutes=10)
INTERVAL = 5  # seconds between two polls


async def device_authorization(request: Request, world: World) -> Response:
    """200 with both codes (§3.2). The client authenticates as at /token; `scope` and `resource` (RFC 8707) as at /authorize."""
    now, settings = world.now(), world.settings
    params = await form(request, world)
    params.refuse_repeats()
    client = await authenticated_client(request, params, world)
    if DEVICE_CODE not in client.grant_types:
        raise UnauthorizedClient("this client did not register for the device grant")
    resource = world.resources.resolve(params.all("resource"))
    scope = granted(
        params.get("scope"),
        world.resources.registered(resource, client.scope),
        scopes=resource.scopes,
        default=resource.default,
    )
    asked = store.DeviceRequest(client.client_id, scope, resource.audience)
    await hit(world.pool, NEW_DEVICE, client_address(request, settings.trusted_proxies), now)
    device_code = new_secret(DEVICE)
    key = fingerprint(device_code)
    user_code = await _added(world, key, asked)
    note(link=key.hex(), scope=list(asked.scope))
    note(link=normal(user_code))
    return no_store(
        {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": f"{settings.issuer}/device",
            "verification_uri_complete": f"{settings.issuer}/device?user_code={user_code}",
            "expires_in": int(LIFETIME.total_seconds()),
            "interval": INTERVAL,
        }
    )


async def _added(world: World, key: bytes, asked: store.DeviceRequest) -> str:
    """The user code as people read it; of 20^8 the same one is hardly drawn twice, and never given twice."""
    for _ in range(3):
        user_code = new_user_code()
        if await store.add_device_code(world.pool, key, user_code, asked, world.now() + LIFETIME, INTERVAL):
            return shown(user_code)
    raise TemporarilyUnavailable("no code is free at the moment; try again", retry_after=1)

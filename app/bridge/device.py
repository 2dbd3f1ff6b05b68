"""Signing in on another device: a code is shown here and typed there (RFC 8628)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx2

from app.bridge.faults import Denied, Fault, Unreachable, address
from app.bridge.front_door import FrontDoor
from app.bridge.options import Client, Tokens
from app.bridge.register import DEVICE_CODE
from app.bridge.token_endpoint import asked, tokens_for
from app.bridge.wire import is_safe

INTERVAL, SLOWER = 5.0, 5.0  # seconds, §3.2 and §3.5
LONGEST = 1800.0
ENDS = {
    "access_denied": "the sign-in was refused on the other device",
    "expired_token": "the code was not entered in time; start again",
}


async def signed_in(
    http: httpx2.AsyncClient, door: FrontDoor, client: Client, scope: str, say: Callable[[str], None]
) -> Tokens:
    """Shows the code, and asks until it was entered. Raises Fault when it was refused or ran out."""
    endpoint, token_endpoint = door.needed("device_authorization_endpoint"), door.needed("token_endpoint")
    codes = (await asked(http, endpoint, client, {"scope": scope, "resource": door.resource})).document
    device_code, user_code, page = (codes.get(name) for name in ("device_code", "user_code", "verification_uri"))
    if not (isinstance(device_code, str) and isinstance(user_code, str) and user_code.isprintable()):
        raise Fault(f"{address(endpoint)} answered without a code")
    whole = codes.get("verification_uri_complete")
    if not is_safe(page, door.url) or not (whole is None or is_safe(whole, door.url)):
        raise Fault(f"{address(endpoint)} names {address(page)} as its page, which is not https")
    hint = f", or open {whole}" if whole else ""
    say(f"to sign in to {door.url}, open {page} on any device and enter the code {user_code[:40]}{hint}")
    interval, ends = (
        _seconds(codes.get("interval"), INTERVAL),
        time.monotonic() + _seconds(codes.get("expires_in"), 600),
    )
    form = {"grant_type": DEVICE_CODE, "device_code": device_code, "resource": door.resource}
    while time.monotonic() < ends:
        await asyncio.sleep(interval)
        try:
            return await tokens_for(http, token_endpoint, client, form)
        except Unreachable:
            interval = min(2 * interval, 60.0)  # §3.5: back off
        except Denied as fault:
            if fault.word in ENDS:
                raise Fault(ENDS[fault.word]) from None
            if fault.word not in ("authorization_pending", "slow_down"):
                raise
            interval += SLOWER if fault.word == "slow_down" else 0
    raise Fault(ENDS["expired_token"])


def _seconds(value: object, default: float) -> float:
    return min(float(value), LONGEST) if isinstance(value, (int, float)) and value > 0 else default

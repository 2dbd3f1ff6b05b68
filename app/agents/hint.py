"""POST /api/public/lightning/hint: a node says that something was paid. It is not believed, but asked.

Webhooks of nodes are unsigned (LNbits), signed each in its own way (phoenixd), and come twice: so all that is taken from one is
which of our invoices may be worth a look now. Whoever forges one causes the question that polling asks anyway, at most once a
second for each invoice.
"""

from __future__ import annotations

import re
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from app.agents import asked
from app.limits import Rate
from app.payments import quotes
from app.protocol.errors import NotFound
from app.web.http import JSON_BYTES, body_of
from app.world import World

HINTS = Rate("payment-hint", 300, timedelta(minutes=1))  # from one address
HASH = re.compile(rb"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")  # however the node names it
MOST = 4  # a payment's hash, perhaps its preimage, perhaps an id of the node's own


async def hint(request: Request, world: World) -> Response:
    """204, whatever it was: who asks learns nothing."""
    now = world.now()
    if world.lightning is None:
        raise NotFound("nothing is served at this address")
    await asked.limited(request, world, HINTS, now)
    for found in dict.fromkeys(HASH.findall(await body_of(request, world, JSON_BYTES))[:MOST]):
        await quotes.settled(world, found.decode().lower(), now)
    return Response(status_code=204, headers={"Cache-Control": "no-store"})

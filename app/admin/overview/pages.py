"""/admin: the overview."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.entry import Visit
from app.admin.frame import done, shown
from app.admin.overview import look
from app.protocol.errors import OAuthError
from app.protocol.params import Params


async def overview(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    found = await look.overview(visit.world, visit.viewer.user_id, visit.now)
    return shown(visit, "admin.html", refusal=refusal, overview=found, issuer=visit.world.settings.issuer)


async def confirm_backup(visit: Visit, fields: Params) -> Response:
    await look.confirm_backup(visit.world, visit.viewer.user_id, visit.now)
    return done("/admin", "saved")

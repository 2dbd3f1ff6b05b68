"""/static/…: the stylesheet, scripts and pictures of the pages, packed once (RFC 9110 §8.4.1.3), and the operator's own logo and colour."""

from __future__ import annotations

import gzip

from starlette.requests import Request
from starlette.responses import Response

from app.paths import TEMPLATES
from app.protocol.errors import NotFound
from app.settings.branding import LOGO_CSP
from app.web.http import Endpoint
from app.world import World

FILES = {
    "follow.js": "text/javascript",
    "gatehouse.css": "text/css",
    "copy.js": "text/javascript",
    "passkeys.js": "text/javascript",
    "work.js": "text/javascript",
    "work-solver.js": "text/javascript",
    "pay.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
KEPT = {"Cache-Control": "public, max-age=3600"}  # their addresses end in the version


def static(name: str, media_type: str) -> Endpoint:
    """A file of ours, as it was at the start. There is no secret in it, so it may be packed (unlike a page: BREACH)."""
    plain = (TEMPLATES / name).read_bytes()
    packed = gzip.compress(plain, 9, mtime=0)

    async def file(request: Request, world: World) -> Response:
        headers = KEPT | {"Vary": "Accept-Encoding"}
        if not _takes_gzip(request.headers.get("accept-encoding", "")):
            return Response(plain, media_type=media_type, headers=headers)
        return Response(packed, media_type=media_type, headers=headers | {"Content-Encoding": "gzip"})

    return file


async def logo(request: Request, world: World) -> Response:
    brand = world.settings.brand
    if brand.logo is None:
        raise NotFound("this server has no logo of its own")
    return Response(brand.logo, media_type=brand.logo_type, headers=KEPT | {"Content-Security-Policy": LOGO_CSP})


async def brand_css(request: Request, world: World) -> Response:
    css = world.settings.brand.css
    if css is None:
        raise NotFound("this server has no colour of its own")
    return Response(css, media_type="text/css", headers=KEPT)


def _takes_gzip(accepted: str) -> bool:
    """RFC 9110 §12.5.3; `*` is not taken at its word, and a weight of nothing is a no."""
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.")
    return False

"""/admin/providers: the services that people sign in with or connect, how the accounts there are, and one more."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from app.admin.entry import Visit
from app.admin.frame import done, shown, word
from app.admin.providers import acts
from app.protocol.errors import OAuthError
from app.protocol.known_providers import KNOWN_PROVIDERS
from app.protocol.params import Params

HERE = "/admin/providers"
TEXTS = (
    "name",
    "title",
    "kind",
    "client_id",
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "scopes",
    "connect_scopes",
)


async def services(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    entered = {name: (word(typed, name, 1000) or "") if typed else "" for name in TEXTS}
    uses = set(typed.all("use")) if typed else {"sign_in", "connect"}
    return shown(
        visit,
        "admin_providers.html",
        refusal=refusal,
        rows=await acts.listed(visit.world, visit.now),
        known=list(KNOWN_PROVIDERS.values()),
        entered=entered,
        uses=uses,
        issuer=visit.world.settings.issuer,
        fault="name" if refusal else None,
    )


async def save(visit: Visit, fields: Params) -> Response:
    given: dict[str, Any] = {name: text for name in TEXTS if name != "name" and (text := word(fields, name, 1000))}
    kind = given.pop("kind", "")
    if kind in KNOWN_PROVIDERS:
        given["kind"] = kind
    for name in ("scopes", "connect_scopes"):
        if name in given:
            given[name] = given[name].replace(",", " ").split()
    uses = fields.all("use")
    given |= {use: False for use in ("sign_in", "connect") if use not in uses}
    name = word(fields, "name", 40) or (kind if kind in KNOWN_PROVIDERS else "")
    secret = (fields.verbatim("client_secret") or "").strip()[:1000]
    await acts.save(visit.world, name, given, secret, visit.now)
    return done(HERE, "saved")


async def remove(visit: Visit, fields: Params) -> Response:
    gone = await acts.remove(visit.world, word(fields, "name", 40) or "", visit.now)
    return done(HERE, "service-removed" if gone else "nothing")

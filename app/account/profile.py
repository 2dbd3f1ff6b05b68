"""GET and POST /account/profile: name and language; the way to taking everything along, and to leaving."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app import audit
from app.account import frame
from app.language.catalogs import LANGUAGES, N_, _
from app.users import store as users
from app.world import World

PATH = "/account/profile"
LONGEST_NAME = 100  # characters
NO_NAME = N_("A name has 1 to 100 visible characters.")
NO_LANGUAGE = N_("Choose one of these.")


async def show(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login(PATH)
    async with world.db.connect() as db:
        me = await users.by_email(db, visit.viewer.email)
    return _page(visit, visit.viewer.name, (me.language if me else None) or "", {})


async def save(request: Request, world: World) -> Response:
    visit, fields = await frame.sent(request, world)
    if visit is None:
        return frame.to_login(PATH)
    typed, language = fields.verbatim("name") or "", fields.get("language") or ""
    name = "".join(c for c in typed if c.isprintable()).strip()
    faults = {}
    if not name or len(name) > LONGEST_NAME:
        faults["name"] = _(NO_NAME)
    if language and language not in LANGUAGES:
        faults["language"] = _(NO_LANGUAGE)
    if faults:
        return _page(visit, typed[:200], language, faults)
    async with world.db.begin() as db:
        await users.set_profile(db, visit.viewer.user_id, name, language or None)
        await audit.record(db, "profile.changed", visit.now, user_id=visit.viewer.user_id, language=language)
    return frame.done(PATH, "saved")


def _page(visit: frame.Visit, name: str, language: str, faults: dict[str, str]) -> Response:
    return frame.page(
        visit,
        "account_profile.html",
        status=400 if faults else 200,
        name=name,
        language=language,
        languages=LANGUAGES,
        faults=faults,
        # The page to change it belongs to mail; without mail an admin changes it.
        can_change_email=bool(getattr(visit.world.settings, "smtp_url", None)),
    )

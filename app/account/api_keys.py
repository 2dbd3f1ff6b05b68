"""GET /account/api-keys and its forms: make a key and see it once, rotate it, revoke it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.account import frame, store
from app.api_keys import keys
from app.api_keys import store as key_store
from app.language.catalogs import N_, _
from app.language.when import ago, day
from app.limits import NEW_KEY, hit
from app.protocol.errors import OAuthError
from app.protocol.params import Params
from app.protocol.scope import ADMIN
from app.web import paging, shown_once
from app.web.http import see_other
from app.world import World

PATH = "/account/api-keys"
LIVES = {"7d": N_("7 days"), "30d": N_("30 days"), "90d": N_("90 days"), "365d": N_("a year"), "never": N_("never")}
# No grace is shorter than the longest life of an access token, so that no token outlives the key it came from.
GRACES = {"0": timedelta(0), "1d": timedelta(days=1), "7d": timedelta(days=7)}
NO_NAME = N_("Give it a name of 1 to 100 visible characters.")
ENOUGH = N_("You have 100 keys that work, which is the most. Revoke one first.")
NO_SCOPE = N_("Choose at least one.")
NO_LIFE = N_("Choose one of these.")


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was filled in, and what is wrong with each field."""

    name: str = ""
    scope: tuple[str, ...] = ()
    life: str = "90d"
    faults: dict[str, str] = field(default_factory=dict)


async def show(request: Request, world: World) -> Response:
    visit = await frame.visit(request, world)
    return await _page(visit, Typed(scope=world.resources.default.default[:1])) if visit else frame.to_login(PATH)


async def create(request: Request, world: World) -> Response:
    """Makes a key; the page after it shows it, once."""
    visit, fields = await frame.sent(request, world)
    if visit is None or not visit.is_recent:
        return frame.to_login(PATH)
    typed = _checked(fields, world, is_admin=visit.viewer.is_admin)
    if typed.faults:
        return await _page(visit, typed)
    expires_at = None if typed.life == "never" else visit.now + keys.duration(typed.life)
    name = keys.checked_name(typed.name)
    await hit(world.pool, NEW_KEY, visit.viewer.user_id, visit.now)
    async with world.db.begin() as db:
        made = await keys.create(db, visit.viewer.user_id, name, typed.scope, expires_at, visit.now)
    if made is None:
        return await _page(visit, replace(typed, faults={"name": _(ENOUGH)}))
    return _made(visit, name, made[1])


async def show_rotate(request: Request, world: World) -> Response:
    """Asks when the old secret is to end."""
    visit = await frame.visit(request, world)
    if visit is None or not visit.is_recent:
        return frame.to_login(PATH)
    async with world.db.connect() as db:
        key_id = frame.query(request).required("id")
        key = await key_store.replaceable(db, key_id, visit.viewer.user_id, visit.now)
    if key is None:
        return frame.done(PATH, "nothing")
    return frame.page(visit, "account_rotate.html", key=_shown(key, [], visit.now))


async def rotate(request: Request, world: World) -> Response:
    """The same key with a new secret; the old one ends at once, or when this person says."""
    visit, fields = await frame.sent(request, world)
    if visit is None or not visit.is_recent:
        return frame.to_login(PATH)
    grace, key_id = GRACES.get(fields.get("grace") or "0", timedelta(0)), fields.required("id")
    async with world.db.begin() as db:
        made = await keys.rotate(db, key_id, visit.viewer.user_id, grace, visit.now, lifetime=world.token_lifetime)
    return _made(visit, made[0].name, made[1]) if made else frame.done(PATH, "nothing")


async def show_revoke(request: Request, world: World) -> Response:
    """Asks once more, since nothing brings the key back. It does not want a recent sign-in: a leaked key has to go soon."""
    visit = await frame.visit(request, world)
    if visit is None:
        return frame.to_login(PATH)
    async with world.db.connect() as db:
        key = await key_store.unrevoked(db, frame.query(request).required("id"), visit.viewer.user_id)
    if key is None:
        return frame.done(PATH, "nothing")
    return frame.page(visit, "account_revoke.html", key=_shown(key, [], visit.now))


async def revoke(request: Request, world: World) -> Response:
    visit, fields = await frame.sent(request, world)
    if visit is None:
        return frame.to_login(PATH)
    key_id, user_id = fields.required("id"), visit.viewer.user_id
    async with world.db.begin() as db:
        ended = await keys.end(db, key_id, user_id, visit.now, lifetime=world.token_lifetime)
    return frame.done(PATH, "key-revoked" if ended else "nothing")


def _made(visit: frame.Visit, name: str, secret: str) -> Response:
    response = see_other(PATH)
    shown_once.keep(response, visit.world, visit.viewer, {"name": name, "secret": secret}, visit.now)
    return response


def _checked(fields: Params, world: World, *, is_admin: bool) -> Typed:
    name, life, scope = fields.verbatim("name") or "", fields.get("expires") or "90d", tuple(fields.all("scope"))
    faults = {}
    try:
        keys.checked_name(name)
    except OAuthError:
        faults["name"] = _(NO_NAME)
    try:
        keys.checked_scope(list(scope), world.resources, is_admin=is_admin)
    except OAuthError:
        faults["scope"] = _(NO_SCOPE)
    if life not in LIVES:
        faults["life"] = _(NO_LIFE)
    return Typed(name[:200], tuple(dict.fromkeys(scope)), life, faults)


async def _page(visit: frame.Visit, typed: Typed) -> Response:
    user_id, place, now, world = visit.viewer.user_id, frame.place(visit), visit.now, visit.world
    async with world.db.connect() as db:
        found = await key_store.page_of_keys(db, user_id, place)
        listed = paging.page(found, place, lambda key: paging.Place(key.created_at, (key.id,)))
        tools = await store.tools_lately(db, user_id, [key.id for key in listed.rows], (now - timedelta(30)).date())
    made = shown_once.take(visit.request, world, visit.viewer, now) if visit.request.method == "GET" else None
    response = frame.page(
        visit,
        "account_api_keys.html",
        status=400 if typed.faults else 200,
        script=True,
        keys=[_shown(key, tools.get(key.id, []), now) for key in listed.rows],
        page=listed,
        made=made,
        typed=typed,
        scopes=_scopes(visit),
        lives=[(life, _(words)) for life, words in LIVES.items()],
        is_recent=visit.is_recent,
        mcp_url=world.resources.default.audience,
    )
    if made is not None:
        shown_once.forget(response, world)
    return response


def _scopes(visit: frame.Visit) -> list[tuple[str, str, bool]]:
    """Each with its words, and where it counts when it does not count at the default resource."""
    resources, found = visit.world.resources, []
    for name, scope in resources.words.items():
        where = next((one.title for one in resources if name.startswith(f"{one.name}/")), None)
        words = _(scope.words)
        if name != ADMIN or visit.viewer.is_admin:
            found.append((name, f"{where}: {words}" if where else words, scope.sensitive))
    return found


def _shown(key: key_store.ApiKey, tools: list[str], now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scope),
        "created": day(key.created_at.date()),
        "expires": day(key.expires_at.date()) if key.expires_at else None,
        "is_over": key.expires_at is not None and key.expires_at <= now,
        "is_replaced": key.rotated_at is not None,
        "last_used": ago(key.last_used_at, now) if key.last_used_at else None,
        "tools": tools[:6],
    }

"""/admin/users and /admin/users/ID: find somebody, see what they have, and change it."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.entry import Visit, nothing_here
from app.admin.frame import done, once, place, query, shown, word
from app.admin.users import acts, store
from app.language.catalogs import N_
from app.language.devices import device
from app.protocol.errors import Conflict, OAuthError
from app.protocol.params import Params
from app.web import paging

KINDS = ("admins", "disabled")


async def everybody(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """The list, and the form for somebody new."""
    params = query(visit)
    words, kind = word(params, "q"), params.get("kind")
    kind = kind if kind in KINDS else None
    at = place(visit)
    async with visit.world.db.connect() as db:
        rows = await store.page_of(db, words, kind, at)
    listed = paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,)))
    entered = {name: (word(typed, name) or "") if typed else "" for name in ("email", "name", "admin")}
    return shown(
        visit,
        "admin_users.html",
        refusal=refusal,
        users=listed,
        filters={"q": words, "kind": kind},
        entered=entered,
        fault="email" if refusal else None,
    )


async def somebody(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    user_id = visit.request.path_params["user_id"]
    async with visit.world.db.connect() as db:
        person = await store.person(db, user_id)
        if person is None:
            raise nothing_here()
        held = await store.belongings(db, user_id, visit.now)
    own = visit.viewer.user_id == user_id
    return shown(
        visit, "admin_user.html", refusal=refusal, person=person, held=held, own=own, many=store.MANY, device=device
    )


async def add(visit: Visit, fields: Params) -> Response:
    """303 to the list, which shows the link for the new password, this once."""
    email, name = word(fields, "email", 254) or "", word(fields, "name", 100) or ""
    made, link = await acts.add(
        visit.world, visit.viewer.user_id, email, name, visit.now, is_admin=fields.get("admin") == "yes"
    )
    return once(visit, "/admin/users", {"link": link, "email": made.email})


async def give_link(visit: Visit, fields: Params) -> Response:
    person = await acts.known(visit.world, _whom(visit))
    link = await acts.password_link(visit.world, visit.viewer.user_id, person.id, visit.now)
    return once(visit, f"/admin/users/{person.id}", {"link": link, "email": person.email})


async def disable(visit: Visit, fields: Params) -> Response:
    await acts.disable(visit.world, visit.viewer.user_id, _whom(visit), visit.now)
    return _done(visit, "disabled")


async def enable(visit: Visit, fields: Params) -> Response:
    await acts.enable(visit.world, _whom(visit), visit.now)
    return _done(visit, "enabled")


async def promote(visit: Visit, fields: Params) -> Response:
    await acts.promote(visit.world, _whom(visit), visit.now)
    return _done(visit, "promoted")


async def demote(visit: Visit, fields: Params) -> Response:
    """Whoever takes their own rights away is sent to their account: nothing is here for them any more."""
    await acts.demote(visit.world, _whom(visit), visit.now)
    return done("/account", "saved") if _whom(visit) == visit.viewer.user_id else _done(visit, "demoted")


async def reset_factors(visit: Visit, fields: Params) -> Response:
    await acts.reset_factors(visit.world, _whom(visit), visit.now)
    return _done(visit, "factors-reset")


async def sign_out(visit: Visit, fields: Params) -> Response:
    await acts.sign_out(visit.world, _whom(visit), visit.now)
    return _done(visit, "signed-out")


async def disconnect(visit: Visit, fields: Params) -> Response:
    ended = await acts.disconnect(visit.world, _whom(visit), visit.now)
    return _done(visit, "disconnected" if ended else "nothing")


async def delete(visit: Visit, fields: Params) -> Response:
    """Only with the e-mail address typed, since nothing brings the account back."""
    person = await acts.known(visit.world, _whom(visit))
    if (word(fields, "email") or "").lower() != person.email:
        raise Conflict(N_("to delete the account, type its e-mail address"))
    await acts.delete(visit.world, visit.viewer.user_id, person.id, visit.now)
    return done("/admin/users", "deleted")


def _whom(visit: Visit) -> str:
    return str(visit.request.path_params["user_id"])


def _done(visit: Visit, what: str) -> Response:
    return done(f"/admin/users/{_whom(visit)}", what)

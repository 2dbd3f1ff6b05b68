"""/admin/invitations: who is invited and has not come yet; to invite, to send again, to take back."""

from __future__ import annotations

from starlette.responses import Response

from app.admin.entry import Visit
from app.admin.frame import done, once, place, shown, word
from app.protocol.errors import OAuthError
from app.protocol.params import Params
from app.users.invitations import invite as invitations
from app.users.invitations import store
from app.web import paging

HERE = "/admin/invitations"


async def open_ones(visit: Visit, *, refusal: OAuthError | None = None, typed: Params | None = None) -> Response:
    """The newest first; those that expired too, for a month, to be sent again."""
    at = place(visit)
    async with visit.world.db.connect() as db:
        rows = await store.page(db, before=(at.at, at.names[0]) if at else None, limit=paging.PAGE + 1)
    entered = {name: (word(typed, name) or "") if typed else "" for name in ("email", "admin")}
    return shown(
        visit,
        "admin_invitations.html",
        refusal=refusal,
        invitations=paging.page(rows, at, lambda row: paging.Place(row.created_at, (row.id,))),
        sign_up=visit.world.settings.sign_up,
        can_mail=visit.world.settings.can_mail,
        entered=entered,
        fault="email" if refusal else None,
    )


async def add(visit: Visit, fields: Params) -> Response:
    """By mail, where there is mail and it is wished; else 303 to the list, which shows the link, this once."""
    by_mail, is_admin = fields.get("by") != "link", fields.get("admin") == "yes"
    typed = word(fields, "email", 254) or ""
    made = await invitations.invite(visit.world, typed, is_admin=is_admin, by=visit.viewer.user_id, by_mail=by_mail)
    return _given(visit, made)


async def again(visit: Visit, fields: Params) -> Response:
    made = await invitations.send_again(visit.world, word(fields, "id") or "", by=visit.viewer.user_id)
    return _given(visit, made)


async def take_back(visit: Visit, fields: Params) -> Response:
    gone = await invitations.revoke(visit.world, word(fields, "id") or "", by=visit.viewer.user_id)
    return done(HERE, "uninvited" if gone else "nothing")


def _given(visit: Visit, made: invitations.Made) -> Response:
    invitations.send(visit.world, made)
    if made.link is None:
        return done(HERE, "invited")
    return once(visit, HERE, {"link": made.link, "email": made.invitation.email})

"""What every account page begins and ends with: who is there, the form they sent, the page around the answer."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.language.catalogs import N_, _
from app.protocol.params import Params, parse
from app.web import paging, sessions
from app.web.flow import at_page, step
from app.web.http import form, see_other
from app.web.pages import render
from app.web.sessions import Visit as Visit
from app.web.sessions import visit as visit
from app.world import World

DONE = {
    "revoked": N_("The app is disconnected. It has to ask you again."),
    "forgotten": N_("Forgotten. The app has to ask you next time."),
    "key-revoked": N_("The key has ended."),
    "signed-out": N_("That browser is signed out."),
    "others-signed-out": N_("Every other browser is signed out."),
    "saved": N_("Saved."),
    "budget-given-up": N_("Given up. Nothing is charged to it any more."),
    "nothing": N_("Nothing to do: it had ended already."),
}


async def sent(request: Request, world: World) -> tuple[Visit | None, Params]:
    """Who sent a form of ours, and what is in it. Raises AccessDenied for somebody else's form."""
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    return await visit(request, world), fields


def to_login(path: str) -> Response:
    """To say who it is, or to say it again, and back to this page."""
    return see_other(step("/login", at_page(path)))


def done(path: str, what: str) -> Response:
    """Back to the page, which says what was done."""
    return see_other(f"{path}?done={what}")


def query(request: Request) -> Params:
    return parse(request.scope["query_string"])


def place(visit: Visit, names: int = 1) -> paging.Place | None:
    """Where in a long list this page begins."""
    return paging.read(query(visit.request).get("after"), names)


def page(visit: Visit, template: str, *, status: int = 200, script: bool = False, **context: Any) -> Response:
    said = DONE.get(query(visit.request).get("done") or "") if visit.request.method == "GET" else None
    return render(
        template,
        status=status,
        script=script,
        csrf=visit.csrf,
        viewer=visit.viewer,
        done=_(said) if said else None,
        **context,
    )

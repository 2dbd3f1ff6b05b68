"""What every admin page begins and ends with: the admin, the form they sent, the page around the answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.admin.entry import Visit, entered, to_login
from app.language import when
from app.language.catalogs import N_, _
from app.protocol.errors import OAuthError
from app.protocol.params import Params, parse
from app.web import paging, sessions, shown_once
from app.web.flow import PAGE
from app.web.http import Endpoint, form, see_other
from app.web.pages import CSP, render, sentence
from app.world import World

PLACES = (
    ("/admin", N_("Overview")),
    ("/admin/users", N_("Users")),
    ("/admin/invitations", N_("Invitations")),
    ("/admin/clients", N_("Apps")),
    ("/admin/connections", N_("Connections")),
    ("/admin/api-keys", N_("API keys")),
    ("/admin/providers", N_("Services")),
    ("/admin/projects", N_("Agents")),
    ("/admin/spending", N_("Spending")),
    ("/admin/budgets", N_("Budgets")),
    ("/admin/attempts", N_("Attempts")),
    ("/admin/signing-keys", N_("Signing keys")),
    ("/admin/audit", N_("Audit log")),
    ("/admin/settings", N_("Settings")),
)
DONE = {
    "disabled": N_("The account is disabled. Its tokens end within a second."),
    "enabled": N_("The account works again."),
    "promoted": N_("They are an admin now."),
    "demoted": N_("They are no admin any more."),
    "signed-out": N_("Every browser is signed out."),
    "factors-reset": N_("Only the password is left; every browser is signed out."),
    "invited": N_("Invited: the letter is on its way."),
    "uninvited": N_("Taken back: the link has ended."),
    "deleted": N_("The account is gone."),
    "disconnected": N_("Disconnected. The tokens end within a second."),
    "blocked": N_("The app is blocked. Its tokens end within a second."),
    "unblocked": N_("The app may connect again."),
    "removed": N_("The app is removed, and everything that hung from it."),
    "saved": N_("Saved."),
    "key-revoked": N_("The key has ended."),
    "service-removed": N_("The service is removed. Nobody is sent there any more."),
    "project-made": N_("The project is made. Agents come with its key."),
    "paused": N_("Paused. Its tokens end within a second."),
    "resumed": N_("Its agents may come again."),
    "project-removed": N_("The project is removed, and its agents' sessions are over."),
    "budget-given": N_("Saved. It counts from the next call."),
    "budget-removed": N_("Taken away. Nothing is charged to it any more."),
    "rotated": N_("New keys are published. They sign once every app can know them."),
    "replaced": N_("New keys sign from now on."),
    "nothing": N_("Nothing to do: it had ended already."),
}
SCRIPTS = f"{CSP}; script-src 'self'; connect-src 'self'"
UNSAFE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Show = Callable[..., Awaitable[Response]]
Perform = Callable[[Visit, Params], Awaitable[Response]]


def page(show: Show) -> Endpoint:
    """GET: for admins; others are sent to sign in, or are told of nothing."""

    async def endpoint(request: Request, world: World) -> Response:
        visit = await entered(request, world, request.url.path)
        return visit if isinstance(visit, Response) else await show(visit)

    return endpoint


def deed(perform: Perform, show: Show) -> Endpoint:
    """POST to PAGE/deed: performed, or PAGE shown again with the reason why not. It wants a recent sign-in."""

    async def endpoint(request: Request, world: World) -> Response:
        back = request.url.path.rpartition("/")[0]
        visit = await entered(request, world, back)
        if isinstance(visit, Response):
            return visit
        fields = await form(request, world)
        sessions.check_form(request, world, fields)
        if not visit.is_recent:
            return to_login(_asked_back(fields) or back)
        try:
            return await perform(visit, fields)
        except OAuthError as refusal:
            if refusal.status not in (400, 409):
                raise
            return await show(visit, refusal=refusal, typed=fields)

    return endpoint


def shown(
    visit: Visit,
    template: str,
    *,
    refusal: OAuthError | None = None,
    fault: str | None = None,
    live: bool = False,
    **context: Any,
) -> Response:
    """The page. `fault` is the field that the refusal is about; `live`: a script of ours may fetch the page anew."""
    path = visit.request.url.path
    words = DONE.get(query(visit).get("done") or "") if visit.request.method == "GET" else None
    kept = shown_once.take(visit.request, visit.world, visit.viewer, visit.now) if words is None else None
    once = kept if kept and kept.get("page") == path else None
    response = render(
        template,
        status=refusal.status if refusal else 200,
        csrf=visit.csrf,
        viewer=visit.viewer,
        now=visit.now,
        when=when,
        places=[(at, _(name), path == at or (at != "/admin" and path.startswith(at + "/"))) for at, name in PLACES],
        done=_(words) if words else None,
        once=once,
        error=None if refusal is None else sentence(refusal),
        fault=fault,
        live=live,
        script=once is not None,  # which has a button to copy it
        **context,
    )
    if live:
        response.headers["Content-Security-Policy"] = SCRIPTS
    if once is not None:
        shown_once.forget(response, visit.world)
    return response


def done(path: str, what: str) -> Response:
    """Back to the page, which says what was done."""
    return see_other(f"{path}?done={what}")


def once(visit: Visit, path: str, words: dict[str, str]) -> Response:
    """Back to the page, which shows a new secret, this once."""
    response = see_other(path)
    shown_once.keep(response, visit.world, visit.viewer, {"page": path, **words}, visit.now)
    return response


def back(visit: Visit, fields: Params) -> str:
    """The admin page on which the form stood."""
    return _asked_back(fields) or visit.request.url.path.rpartition("/")[0]


def _asked_back(fields: Params) -> str | None:
    asked = fields.get("back") or ""
    return asked if asked.startswith("/admin/") and PAGE.fullmatch(asked) else None


def query(visit: Visit) -> Params:
    return parse(visit.request.scope["query_string"])


def word(params: Params, name: str, limit: int = 500) -> str | None:
    """What is searched for, in characters that can be stored."""
    text = UNSAFE.sub("", params.get(name) or "").strip()[:limit]
    return text or None


def place(visit: Visit) -> paging.Place | None:
    """Where in a long list this page begins."""
    return paging.read(query(visit).get("after"))

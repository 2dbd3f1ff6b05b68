"""What the pages of one-time links have in common: a form in this browser, attempts counted, and what is said of a link that is over."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.language.catalogs import _
from app.limits import ONE_TIME_LINK, hit
from app.protocol.params import Params, parse
from app.traces.recording import note
from app.users.passwords import Judged
from app.web import sessions
from app.web.http import client_address, form
from app.web.pages import error_page, render
from app.world import World


def code_in(request: Request) -> str:
    return parse(request.scope["query_string"]).get("code") or ""


async def sent(request: Request, world: World) -> Params:
    """The fields of a form of ours. Raises AccessDenied, and TooManyRequests for whoever tries too many links."""
    fields = await form(request, world)
    sessions.check_form(request, world, fields)
    address = client_address(request, world.settings.trusted_proxies)
    await hit(world.pool, ONE_TIME_LINK, address, world.now())
    return fields


def page(request: Request, world: World, template: str, *, status: int = 200, **context: Any) -> Response:
    """A page with a form, for a browser that may have no cookie yet. `faults` say what is wrong with which field."""
    secret = sessions.cookie(request, world)
    fresh = secret or sessions.new_cookie()
    faults = context.setdefault("faults", {})
    response = render(
        template,
        status=400 if faults and status == 200 else status,
        csrf=sessions.form_token(fresh, world),
        error=next(iter(faults.values()), None),
        **context,
    )
    if secret is None:
        sessions.set_cookie(response, world, fresh)
    return response


def about(world: World, *words: str | None) -> list[str]:
    """What a password must not be made of."""
    return [world.settings.issuer, *(word for word in words if word)]


def faults_of(judged: Judged, **others: str | None) -> dict[str, str]:
    """What is wrong with which field, the first first."""
    found = {**others, "password": judged.fault}
    return {name: words for name, words in found.items() if words}


def gone(world: World, *, ask: str | None = None) -> Response:
    """`ask` is the page where a new one is asked for, if people can do so themselves."""
    heading = _("This link does not work any more")
    note(error="link_over", description="the link was used already, or is too old")
    if ask is not None and world.settings.can_mail:
        return error_page(
            _("It was used already, it is too old, or it belongs to something that has changed since."),
            status=410,
            heading=heading,
            link=ask,
            link_text=_("Ask for a new one"),
        )
    return error_page(
        _("This link was used already, is more than a day old, or was replaced by a newer one."),
        status=410,
        heading=heading,
        next_step=_(
            "Ask whoever gave it to you for a new one. If you run this server: the Users page makes one, or run "
            "gatehouse user reset-password E-MAIL; for the first owner, start it again."
        ),
        link="/login",
        link_text=_("Sign in"),
    )

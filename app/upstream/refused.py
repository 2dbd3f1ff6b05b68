"""The page, the record and the trace of everything that can go wrong on the way to a service and back; nothing is linked then."""

from __future__ import annotations

from datetime import datetime

from starlette.responses import Response

from app import audit
from app.language.catalogs import N_, _
from app.protocol.provider import Provider
from app.traces.recording import note
from app.upstream.faults import Away, Refused, Untrusted, UpstreamFault
from app.upstream.flow import CONNECT, OTHER_BROWSER, REPLAYED, SIGN_IN, UNKNOWN, Flow
from app.web.flow import after, step
from app.web.pages import error_page
from app.world import World


class Stray(UpstreamFault):
    """An answer that belongs to nothing that this browser has begun, as `flow.claim` puts it."""


class Mixed(UpstreamFault):
    """An answer of somebody else than whom it was sent to (RFC 9207 §2.4)."""


class Denied(UpstreamFault):
    """Its user said no there."""


class Unverified(UpstreamFault):
    """It does not vouch for the e-mail address."""


class Stranger(UpstreamFault):
    """Known there, without an account here, and not to be given one."""


class Taken(UpstreamFault):
    """That account elsewhere, or this user, has another counterpart."""


class Elsewhere(UpstreamFault):
    """Somebody else is signed in than who left, or nobody is."""


HERE = "/account/services"
WORDS: dict[type[UpstreamFault], tuple[int, str, str]] = {
    Mixed: (
        400,
        N_("This answer came from somewhere else"),
        N_("It was not {title} that answered. Nothing was done with it."),
    ),
    Denied: (400, N_("You said no at {title}"), N_("Nothing was shared, and nothing has changed here.")),
    Refused: (400, N_("{title} refused"), N_("{title} did not accept what we asked for. Nothing has changed here.")),
    Away: (
        503,
        N_("{title} does not answer properly"),
        N_("It cannot be reached just now, or what it answers cannot be understood. Nothing has changed here."),
    ),
    Untrusted: (
        400,
        N_("The answer of {title} does not hold"),
        N_("What it says of you could not be verified, so nothing was done with it."),
    ),
    Unverified: (
        403,
        N_("Your e-mail address is not verified at {title}"),
        N_("Verify it there first; until then nobody can tell that it is yours."),
    ),
    Stranger: (
        403,
        N_("You have no account here"),
        N_("{title} knows you, and this server does not. Accounts are not made by signing in here."),
    ),
    Taken: (
        409,
        N_("This account is linked already"),
        N_("It belongs to somebody else here, or you have linked another account of {title}."),
    ),
    Elsewhere: (
        403,
        N_("Somebody else is signed in now"),
        N_("You left for {title} as one person and came back as another. Begin again."),
    ),
}
STRAYS = {
    OTHER_BROWSER: (
        N_("This began in another browser"),
        N_("The answer of {title} counts only in the browser that went there. Begin again in this one."),
    ),
    REPLAYED: (N_("This answer was used already"), N_("An answer of {title} counts once. Begin again.")),
    UNKNOWN: (
        N_("That took too long"),
        N_("For the way to {title} and back there are ten minutes. Begin again."),
    ),
}


async def refused(
    world: World, provider: Provider, flow: Flow | None, fault: UpstreamFault, now: datetime, **about: str | None
) -> Response:
    """`flow` is None where the answer belongs to none."""
    purpose, user_id = (flow.purpose, flow.user_id) if flow else (None, None)
    note(error="upstream_refused", description=fault.why)
    async with world.db.begin() as db:
        await audit.record(
            db,
            "upstream.refused",
            now,
            user_id=user_id,
            provider=provider.name,
            purpose=purpose,
            because=fault.why,
            **about,
        )
    status, heading, words = _words(fault)
    page = error_page(
        _(words).format(title=provider.title),
        status=status,
        heading=_(heading).format(title=provider.title),
        next_step=_("{title} says: {error}").format(title=provider.title, error=fault.error)
        if isinstance(fault, Refused)
        else None,
        link=_again(flow),
        link_text=_("Back to your services") if purpose not in (SIGN_IN, None) else _("Begin again"),
    )
    if isinstance(fault, Away):
        page.headers["Retry-After"] = "30"
    return page


def _words(fault: UpstreamFault) -> tuple[int, str, str]:
    if isinstance(fault, Stray):
        return (400, *STRAYS[fault.why])
    return WORDS[type(fault)]


def _again(flow: Flow | None) -> str:
    if flow is None:
        return "/login"
    if flow.purpose in (CONNECT, "link"):
        return HERE
    return after(flow.req) if flow.req else step("/login", "")

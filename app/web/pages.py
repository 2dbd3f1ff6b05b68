"""Pages for people: templates, their security headers, and the page that explains an error (RFC 9700 §4.16)."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app import __version__
from app.asking import refused
from app.language.catalogs import N_, _, chosen, gettext, ngettext, speak, spoken
from app.paths import TEMPLATES
from app.protocol.errors import OAuthError
from app.protocol.words import Worded
from app.settings import branding
from app.traces.recording import note
from app.web.http import json_refusal, request_id
from app.world import World

# No form-action: Chromium applies it to the redirect after the consent form, and every redirect to an app would fail.
CSP = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SCRIPTS = {"Content-Security-Policy": f"{CSP}; script-src 'self'"}
UNANSWERABLE = N_("This request cannot be answered")
WORDS = {
    403: N_("This did not come from our own page"),
    404: N_("There is nothing here"),
    408: N_("That took too long"),
    413: N_("That was too much"),
    429: N_("Too many attempts"),
    500: N_("Something went wrong here"),
    503: N_("Back in a moment"),
}

templates = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    auto_reload=False,
    extensions=["jinja2.ext.i18n"],
)
templates.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
templates.globals["_"] = templates.globals["gettext"]  # jinja2's own asks for that one by name, each time


def render(
    template: str, *, status: int = 200, csrf: str | None = None, script: bool = False, **context: Any
) -> Response:
    """A page with the headers that every page has; `script` lets those of ours run, which are files."""
    html = templates.get_template(template).render(
        lang=spoken.get(),
        version=__version__,
        brand=branding.shown.get(),
        request_id=request_id.get(),
        csrf=csrf,
        **context,
    )
    return HTMLResponse(html, status, HEADERS | SCRIPTS if script else HEADERS)


def error_page(
    words: str,
    *,
    status: int = 400,
    heading: str = "",
    next_step: str | None = None,
    link: str | None = None,
    link_text: str | None = None,
    error: str | None = None,
) -> Response:
    """`error` is the specification's word, in the small print: for whoever builds the app."""
    return render(
        "error.html",
        status=status,
        heading=heading or _(UNANSWERABLE),
        sentence=words,
        next_step=next_step,
        link=link,
        link_text=link_text,
        word=error,
    )


def page_refusal(refusal: OAuthError, request: Request, world: World, *, next_step: str | None = None) -> Response:
    """The renderer of refusals for people."""
    note(error=refusal.error, description=refusal.description)
    refused.set(refusal.error)
    heading = _(refusal.heading or WORDS.get(refusal.status, UNANSWERABLE))
    link, link_text = refusal.way_back or (("/", _("To the front page")) if refusal.status == 404 else (None, None))
    page = error_page(
        sentence(refusal),
        status=refusal.status,
        heading=heading,
        next_step=next_step,
        link=link,
        link_text=link_text,
        error=refusal.error,
    )
    page.headers.update(refusal.headers)
    return page


def page_or_json(refusal: OAuthError, request: Request, world: World) -> Response:
    """Where nobody has said yet who asks: a page in their language for browsers that want one."""
    if "text/html" not in request.headers.get("accept", ""):
        return json_refusal(refusal, request, world)
    speak(chosen(request.headers.get("accept-language", "")) or "en")
    return page_refusal(refusal, request, world)


def said(refusal: OAuthError | Worded) -> str:
    """Its description in the reader's language, as far as we have it."""
    values = {name: _value(value) for name, value in refusal.values.items()}
    text = _(refusal.template)
    return text.format(**values) if values else text


def sentence(refusal: OAuthError) -> str:
    """The same as a sentence by itself. Words of the specification, such as redirect_uri, and URLs are left as they are."""
    words = said(refusal)
    first = words.split(" ", 1)[0]
    return (words if "_" in first or "://" in first else words[:1].upper() + words[1:]) + _(".")


def _value(value: object) -> object:
    if isinstance(value, OAuthError | Worded):
        return said(value)
    return _(value) if value and isinstance(value, str) else value

"""The language of pages: gettext catalogs, and which one a request is answered in (RFC 9110 §12.5.4, OIDC Core §3.1.2.1 `ui_locales`)."""

from __future__ import annotations

import gettext as catalogs
from contextvars import ContextVar
from functools import cache

from app.paths import LOCALES
from app.protocol.words import N_ as N_

DOMAIN = "gatehouse"
LANGUAGES = {"en": "English", "zh-Hans": "简体中文"}  # as `lang` says it, and in its own words
CATALOG = {"zh-Hans": "zh_Hans"}  # the folder of each translation

spoken: ContextVar[str] = ContextVar("spoken", default="en")


def chosen(wishes: str) -> str | None:
    """The language that suits best, of those that we have: an Accept-Language header, or `ui_locales`; None when none does."""
    weighed = []
    for place, wish in enumerate(wishes[:500].replace(" ", ",").split(",")):
        tag, _, weight = wish.partition(";q=")
        ours, liking = _ours(tag.strip().lower()), _number(weight)
        if ours is not None and liking > 0:
            weighed.append((-liking, place, ours))
    return min(weighed)[2] if weighed else None


def speak(language: str | None) -> None:
    """From here on this request is answered in this language, if we have it; nothing changes for None."""
    if language in LANGUAGES:
        spoken.set(language)


def gettext(text: str) -> str:
    return _catalog(spoken.get()).gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    return _catalog(spoken.get()).ngettext(one, many, number)


_ = gettext


@cache
def _catalog(language: str) -> catalogs.NullTranslations:
    folder = CATALOG.get(language)
    return catalogs.NullTranslations() if folder is None else catalogs.translation(DOMAIN, LOCALES, [folder])


def _ours(tag: str) -> str | None:
    """RFC 4647 §3.4: `zh-CN` and plain `zh` are read by readers of Simplified Chinese; `zh-TW` and `zh-Hant` are not."""
    if tag == "en" or tag.startswith("en-"):
        return "en"
    parts = tag.split("-")
    if parts[0] == "zh" and not {"hant", "tw", "hk", "mo"} & set(parts[1:]):
        return "zh-Hans"
    return None


def _number(weight: str) -> float:
    try:
        return min(1.0, max(0.0, float(weight))) if weight else 1.0
    except ValueError:
        return 0.0

"""What holds for every page in pages.py, and that every page is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from app.urls import patterns, url_table
from tests.actors import http
from tests.browsers import axe
from tests.browsers.chromium import DESKTOP, NARROW, PHONE
from tests.browsers.conftest import Sits
from tests.browsers.pages import PAGES
from tests.conftest import House

EACH = pytest.mark.parametrize("name", PAGES)
# `make test` looks at every third, which takes a minute; `make test-long` at the others.
THIRD = [name if number % 3 == 0 else pytest.param(name, marks=pytest.mark.long) for number, name in enumerate(PAGES)]
MOST_BYTES = 50_000  # of a page and all that it loads, as it is before any compression
WEIGHT = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""
HEADINGS = "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(heading => Number(heading.tagName[1]))"
# The words of a page, and those that are read out for it, without names and what is said to be English.
SAID = """() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), said = [];
  while (walk.nextNode())
    if (!walk.currentNode.parentElement.closest("bdi, code, pre, .mono, textarea, noscript, [lang=en]")) said.push(walk.currentNode.data);
  for (const name of ["aria-label", "alt", "title", "placeholder", "data-copied", "data-failed", "data-cancelled", "data-known",
                      "data-words"])
    for (const one of document.querySelectorAll(`[${name}]:not([lang=en])`)) said.push(one.getAttribute(name));
  return said.map(text => text.trim()).filter(text => text);
}"""
HAN = "[\u4e00-\u9fff]"
# Answers with a page only when something is wrong, or only sends on; or files for those who are signed in.
PASSED_THROUGH = {
    "/authorize/continue",
    "/admin/audit/file",
    "/openapi.json",
    "/admin/spending/file",
    "/account/spending/file",
    "/admin/spending/settlements/file",
}


@pytest.mark.parametrize("name", THIRD)
def test_a_page_is_whole(sits: Sits, name: str) -> None:
    """No sideways scrolling at 360 pixels, one h1, headings in order, a title of its own, a known language, under 50 KB;
    axe-core finds no serious or critical fault on a phone and a desk, in light and dark."""
    place = PAGES[name]
    # Without motion: else colours would be looked at while they change.
    person = sits(mails=place.mails, viewport=NARROW, color_scheme="light", reduced_motion="reduce")
    place.bring(person)
    page = person.page
    assert re.fullmatch(re.sub(r"\{[a-z_]+\}", "[^/]+", place.path), urlsplit(page.url).path)
    assert not person.scrolls_sideways
    levels = page.evaluate(HEADINGS)
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert re.fullmatch(r".{3,} · Gatehouse", page.title())
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main").count() == 1
    assert 1_000 < page.evaluate(WEIGHT) < MOST_BYTES
    assert not page.locator("[style], style, script:not([src]), [onclick]").count(), "the policy would not let it"
    if not axe.WHY_NOT:
        found = {(size, scheme): faults for size, scheme, faults in _faults(page)}
        assert not {where: faults for where, faults in found.items() if faults}


def _faults(page: Page) -> Iterator[tuple[str, str, list[str]]]:
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")
        yield size, "light", axe.faults(page)
        page.emulate_media(color_scheme="dark")
        yield size, "dark", axe.faults(page, axe.COLOURS)


def test_every_page_is_among_them(house: House) -> None:
    """Every address of the URL table that shows a page, or sends to the sign-in, is brought to by a line of PAGES."""
    house.add_user()
    visitor = http(headers={"Accept": "text/html"})
    shown = set()
    exact = url_table(house.world, None)  # type: ignore[arg-type]
    for path in [*exact, *(route.path for route in patterns(house.world, None))]:  # type: ignore[arg-type]
        answer = visitor.get(house.url + path)
        is_page = answer.headers.get("content-type", "").startswith("text/html")
        if is_page or answer.status_code in (302, 303):
            shown.add(path)
    assert shown - PASSED_THROUGH <= {place.path for place in PAGES.values()}


@pytest.mark.long
@EACH
def test_a_page_speaks_chinese(sits: Sits, name: str) -> None:
    """All that it says does, but names and what is marked as English; it still fits a narrow phone, and axe-core finds no serious fault."""
    person = sits(mails=PAGES[name].mails, viewport=NARROW, locale="zh-CN", reduced_motion="reduce")
    PAGES[name].bring(person)
    page = person.page
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    said = page.evaluate(SAID)
    assert [
        text for text in said if re.search(r"[a-z]{3} [a-z]{2}|^[a-z ]{4,}$", text) and not re.search(HAN, text)
    ] in ([], ["curl"])
    assert len([text for text in said if re.search(HAN, text)]) > 1
    assert not person.scrolls_sideways
    assert axe.WHY_NOT or not axe.faults(page)

"""axe-core finds no serious or critical fault on any page: on a phone and a desk, in light and dark (Chinese: test_every_page.py)."""

from __future__ import annotations

import pytest

from tests.browsers import axe
from tests.browsers.chromium import DESKTOP, PHONE
from tests.browsers.conftest import Sits
from tests.browsers.pages import PAGES

pytestmark = pytest.mark.skipif(bool(axe.WHY_NOT), reason=axe.WHY_NOT)


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(sits: Sits, name: str) -> None:
    # Without motion: else colours would be looked at while they change.
    person = sits(mails=PAGES[name].mails, color_scheme="light", reduced_motion="reduce")
    PAGES[name].bring(person)
    page = person.page
    found = {}
    for width, size in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")
        found[f"{width}, light"] = axe.faults(page)
        page.emulate_media(color_scheme="dark")
        found[f"{width}, dark"] = axe.faults(page, axe.COLOURS)
    assert not {where: faults for where, faults in found.items() if faults}

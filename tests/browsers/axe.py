"""axe-core, from npm, on a page as it is: what would keep somebody out who cannot see, or see well, or use a mouse."""

from __future__ import annotations

from functools import cache
from typing import Any

from playwright.sync_api import Page

from tests.referees.nodejs import MODULES

PROGRAM = MODULES / "axe-core" / "axe.min.js"
WHY_NOT = "" if PROGRAM.is_file() else "axe-core is not installed, so no page is checked by it; `make node` installs it"
GRAVE = {"serious", "critical"}
COLOURS = ["color-contrast", "link-in-text-block"]  # what another colour scheme can change
RUN = "options => axe.run(document, {resultTypes: ['violations'], ...options})"


@cache
def _source() -> str:
    return PROGRAM.read_text()


def faults(page: Page, rules: list[str] | None = None) -> list[str]:
    """A line for each element with a serious or critical fault. The script comes by the debugger, so the page's policy holds."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_source())
    found: dict[str, Any] = page.evaluate(RUN, {"runOnly": {"type": "rule", "values": rules}} if rules else {})
    return [
        f"{violation['id']} ({violation['impact']}): {node['html']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
    ]

"""`python -m tests.browsers.screenshots DIR [WORDS]`: every page (with WORDS in its name) as a person sees it, to be judged by one.

On a phone and a desk, in light and dark, in every language: `NAME.desktop.dark.zh-Hans.png`; and `index.html` with all of them.
Chinese needs a font: apt-get install fonts-noto-cjk.
"""

from __future__ import annotations

import html
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser
from pydantic import SecretStr

from app.language.catalogs import LANGUAGES
from tests.browsers import chromium
from tests.browsers.pages import PAGES
from tests.browsers.people import Person
from tests.conftest import House, database, emptied, with_mail
from tests.mailbox import Mailboxes

SIZES: dict[str, Any] = {"phone": chromium.PHONE, "desktop": chromium.DESKTOP}
LOCALES = {"en": "en-GB", "zh-Hans": "zh-CN"}
SCHEMES: tuple[Any, ...] = ("light", "dark")


def taken(
    house: House, mailboxes: Mailboxes | None, browser: Browser, name: str, language: str, folder: Path
) -> list[Path]:
    """One page in one language, four times."""
    emptied(house)
    if mailboxes is not None:
        mailboxes.sent(house)  # those of the page before
    paths = []
    with chromium.opened(browser, house.url, locale=LOCALES[language], reduced_motion="reduce") as (page, watch):
        PAGES[name].bring(Person(house, page, watch, mailboxes))
        for size, viewport in SIZES.items():
            page.set_viewport_size(viewport)
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                paths.append(folder / f"{re.sub(r'[^a-z]+', '-', name)}.{size}.{scheme}.{language}.png")
                page.screenshot(path=paths[-1], full_page=True)
    for fault in watch.faults:
        print(f"{name}: {fault}", file=sys.stderr)
    return paths


def index(shots: dict[str, list[Path]]) -> str:
    """All of them on one page."""
    rows = [
        f"<h2>{html.escape(name)}</h2><p>"
        + "".join(f'<a href="{path.name}"><img src="{path.name}" height="420" loading="lazy"></a> ' for path in paths)
        for name, paths in shots.items()
    ]
    return "<!doctype html><meta charset=utf-8><title>Pages</title><body style='background:#888'>" + "\n".join(rows)


def main(folder: Path, words: str) -> None:
    if chromium.WHY_NOT:
        sys.exit(chromium.WHY_NOT)
    folder.mkdir(parents=True, exist_ok=True)
    shots: dict[str, list[Path]] = {}
    with database() as dsn, chromium.started() as browser, closing(Mailboxes()) as mailboxes:
        houses = {
            False: House(dsn, lightning_url=SecretStr("pretend:")).start(),
            True: with_mail(dsn, mailboxes).start(),
        }
        for name in (name for name in PAGES if words in name):
            house = houses[PAGES[name].mails]
            shots[name] = [path for one in LANGUAGES for path in taken(house, mailboxes, browser, name, one, folder)]
        for house in houses.values():
            house.stop()
    (folder / "index.html").write_text(index(shots))
    print(f"{sum(map(len, shots.values()))} pictures of {len(shots)} pages: {folder / 'index.html'}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("which folder?")
    main(Path(sys.argv[1]), " ".join(sys.argv[2:]))

"""A phone with an authenticator app, and the second step typed from it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import pyotp

from tests.actors import PASSWORD, Browser, Page
from tests.conftest import House

TOTP = "/account/security/totp"


@dataclass
class Phone:
    """What the QR code told it, and the recovery codes in a drawer."""

    house: House
    key: str
    recovery: list[str]

    def code(self, steps: int = 0) -> str:
        """The one it shows now, or that many steps later."""
        return pyotp.TOTP(self.key).at(self.house.clock(), counter_offset=steps)

    def next_code(self) -> str:
        """One that was not used yet: half a minute goes by."""
        self.house.turn_clock(seconds=30)
        return self.code()


def set_up(house: House, browser: Browser) -> Phone:
    """Somebody who signed in a moment ago turns codes on; the code that did it is used."""
    page = browser.open(TOTP)
    phone = Phone(house, key_on(page), [])
    page = browser.send(TOTP, csrf=page.field("csrf"), key=page.field("key"), code=phone.code())
    phone.recovery = recovery_on(page)
    return phone


def key_on(page: Page) -> str:
    """From the link beside the picture, as an app reads it."""
    found = re.search(r'href="(otpauth://[^"]+)"', page.text)
    assert found, page.text
    parsed = pyotp.parse_uri(html.unescape(found[1]))
    assert isinstance(parsed, pyotp.TOTP)
    return parsed.secret


def recovery_on(page: Page) -> list[str]:
    found = re.findall(r"<li>([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})</li>", page.text)
    assert len(found) == 10, page.text
    return found


def first_step(browser: Browser, page: Page | None = None, password: str = PASSWORD) -> Page:
    page = browser.sign_in(page, password=password)
    assert "/login/second" in page.url, page.text
    return page


def second_step(browser: Browser, page: Page, **typed: str) -> Page:
    fields = {name: page.field(name) for name in ("csrf", "half", "req")}
    return browser.send("/login/second", **fields | typed)

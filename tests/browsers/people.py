"""A person at a browser, and what people do there: in words, and by the names of fields, which are the same in every language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from tests import actors
from tests.actors import PASSWORD, App
from tests.browsers.chromium import Watch
from tests.conftest import House
from tests.mailbox import Mailboxes

ADA = "ada@example.com"
LONG = "The Extraordinarily Long-Winded Notes and Calendar Assistant of " + "Westmoreland" * 3
OVERFLOWS = "document.documentElement.scrollWidth > window.innerWidth"


@dataclass
class Person:
    """Somebody looks at a page of this house."""

    house: House
    page: Page
    watch: Watch
    mailboxes: Mailboxes | None = None

    def letter(self, to: str = ADA) -> str:
        """The link in the one letter that has come."""
        assert self.mailboxes is not None
        return self.mailboxes.one(self.house, to).link

    def opens(self, url: str) -> Person:
        """An address, or a path of the house."""
        self.page.goto(url if "://" in url else self.house.url + url)
        return self

    def types(self, **fields: str) -> Person:
        for name, text in fields.items():
            self.page.locator(f"main [name={name}]:visible").fill(text)
        return self

    def sends(self, path: str, **fields: str) -> Person:
        """Fills in the form that goes to this path and presses its button."""
        self.types(**fields)
        return self.presses(self.page.locator(f"form[action='{path}'] button:visible").last)

    def presses(self, button: Locator) -> Person:
        """And waits for the page, or the app, that it leads to."""
        with self.page.expect_navigation():
            button.click()
        return self

    def signs_in(self, email: str = ADA, password: str = PASSWORD) -> Person:
        return self.sends("/login", email=email, password=password)

    def is_signed_in(self, email: str = ADA, *, admin: bool = False) -> Person:
        """By a cookie that another door has given, which takes less time than the form."""
        self.house.add_user(email, admin=admin)
        agent = str(self.page.evaluate("navigator.userAgent"))
        visitor = actors.Browser(self.house.url, headers={"User-Agent": agent})
        visitor.sign_in(email=email)
        for name, value in visitor.http.cookies.items():
            self.page.context.add_cookies([{"name": name, "value": value, "url": self.house.url}])
        return self

    def decides(self, decision: str) -> Person:
        return self.presses(self.button(decision))

    def button(self, decision: str) -> Locator:
        return self.page.locator(f"button[name=decision][value={decision}]")

    def is_sent_to(self, start: str) -> str:
        """Waits until the browser has gone to an address that begins so; returns the whole of it."""
        self.page.wait_for_url(lambda url: url.startswith(start))
        return self.page.url

    @property
    def scrolls_sideways(self) -> bool:
        return bool(self.page.evaluate(OVERFLOWS))


class Connected(App):
    """An app that is in."""

    tokens: dict[str, str]


def connected(house: House, name: str = "Quill", email: str = ADA, **asked: str) -> Connected:
    """An app that this user has allowed in, in another browser; `tokens` are what it has from that."""
    app = Connected(house.url)
    app.register(client_name=name)
    visitor = actors.Browser(house.url)
    visitor.sign_in(email=email)
    app.tokens = app.connect(visitor, **asked)
    return app


Bring = Callable[[Person], object]


@dataclass(frozen=True, slots=True)
class Place:
    """`path` is where one ends up, as the URL table has it."""

    path: str
    bring: Bring
    mails: bool = False  # whether the server has to send mail

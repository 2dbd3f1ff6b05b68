"""Debian's Chromium: found, started, and watched for what no page of ours may do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WHY_NOT = (
    "" if PROGRAM else "there is no Chromium here, so no page is seen by a browser; on Debian: apt-get install chromium"
)
FLAGS = "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update --disable-sync"
PHONE, NARROW, DESKTOP = (
    {"width": 390, "height": 844},
    {"width": 360, "height": 740},
    {"width": 1280, "height": 900},
)


@contextmanager
def started() -> Iterator[Chromium]:
    """One for many contexts, each of which has its own cookies and nothing to remember."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS.split())
        yield chromium
        chromium.close()


class Watch:
    """What was seen in one context. `elsewhere` names the origins that a test means to go to, besides our own."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.elsewhere: set[str] = set()
        self.asked: list[str] = []  # the URL of every request, of navigations to an app's own scheme too
        self._said: list[str] = []
        self._missing: list[str] = []
        context.on("console", self._console)
        context.on("weberror", lambda error: self._said.append(f"a script failed: {error.error}"))
        context.on("request", self._request)
        context.on("response", self._response)

    @property
    def faults(self) -> list[str]:
        """Console errors (a broken Content-Security-Policy is one), requests to strangers, files that are not there."""
        strangers = {origin_of(url) for url in self.asked} - {self.origin, *self.elsewhere}
        return [*self._said, *self._missing, *(f"a page asked {origin}" for origin in sorted(strangers))]

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium says so of every page with a status of 400 or more; `_response` has those that matter.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self._said.append(f"{message.location.get('url')}: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            self.asked.append(request.url)

    def _response(self, response: Response) -> None:
        ours = origin_of(response.url) == self.origin
        if ours and response.status >= 400 and not response.request.is_navigation_request():
            self._missing.append(f"{response.status} for {response.url}")


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@contextmanager
def opened(chromium: Chromium, origin: str, **options: Any) -> Iterator[tuple[Page, Watch]]:
    """A page of a browser that has never been here. `options` are Playwright's for a context."""
    context = chromium.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
    context.set_default_timeout(10_000)
    watch = Watch(context, origin)
    try:
        yield context.new_page(), watch
    finally:
        context.close()

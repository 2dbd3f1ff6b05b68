"""Apps that go on while there is trouble: each keeps refreshing and calling, repeats what was not answered, and remembers everything."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx2

from tests.actors import App, Browser
from tests.trouble.gatehouse import assert_bearable


class Caller:
    """One app with one connection, in a thread of its own, until `stop`."""

    def __init__(self, url: str, browser: Browser) -> None:
        self.app = App(url)
        self.app.register()
        self.tokens: dict[str, Any] = self.app.connect(browser)
        self.answers: list[tuple[float, str, int, float]] = []  # when, what, status, seconds
        self.refreshed: list[str] = []
        self.fault: BaseException | None = None
        self._going = True
        self._thread = threading.Thread(target=self._go, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._going = False
        self._thread.join(60)
        if self.fault is not None:
            raise self.fault

    def _go(self) -> None:
        try:
            while self._going:
                self._noted("call", self.app.call("whoami", self.tokens["access_token"]))
                self.refresh()
        except BaseException as fault:
            self.fault = fault

    def refresh(self) -> bool:
        """As an app does: without an answer it keeps the token it has, and tries again later."""
        answer = self._noted("refresh", self.app.refresh(self.tokens["refresh_token"]))
        if answer.status_code != 200:
            return False
        self.tokens = answer.json()
        self.refreshed.append(self.tokens["refresh_token"])
        return True

    def _noted(self, what: str, answer: httpx2.Response) -> httpx2.Response:
        self.answers.append((time.monotonic(), what, answer.status_code, answer.elapsed.total_seconds()))
        assert_bearable(answer, 200)
        return answer

    def statuses(self, what: str) -> set[int]:
        return {status for _, said, status, _ in self.answers if said == what}

    def longest(self) -> float:
        return max(seconds for *_, seconds in self.answers)

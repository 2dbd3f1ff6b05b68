"""A Node program that a test talks to, a line at a time, and the person who opens what it asks to be opened."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tests.actors import Browser, Page
from tests.referees import nodejs

SECONDS = 90  # a Node program that shares few cores with others starts slowly
try:
    nodejs.program()
    WHY_NOT = ""
except nodejs.NoNode as why:
    WHY_NOT = str(why)


class Process:
    """A Node program with a home of its own; lines of its output and of its error output are kept apart."""

    def __init__(self, home: Path, *arguments: str) -> None:
        home.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [str(nodejs.program()), *arguments],
            cwd=nodejs.PLACE,
            env=nodejs.environment(home) | {"BROWSER": "true"},  # whoever opens one opens nothing
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: queue.Queue[str] = queue.Queue()
        self.err: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        streams = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=of, daemon=True) for of in streams]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: IO[str], lines: queue.Queue[str]) -> None:
        with stream:
            for line in stream:
                self.said.append(line)
                lines.put(line.rstrip("\n"))
        lines.put("")

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next line of its output, which is JSON."""
        try:
            line = self.out.get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError(f"nothing within {SECONDS} s:\n" + "".join(self.said)) from None
        assert line, "it ended:\n" + "".join(self.said)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def hears(self, wanted: Callable[[str], bool]) -> str:
        """The next line of its error output that is wanted."""
        while True:
            try:
                line = self.err.get(timeout=SECONDS)
            except queue.Empty:
                raise AssertionError("never said:\n" + "".join(self.said)) from None
            assert line or self.process.poll() is None, "it ended:\n" + "".join(self.said)
            if wanted(line):
                return line

    def end(self) -> None:
        """Its input ends, and with it the program."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join(10)


def allowed(browser: Browser, url: str) -> str:
    """Opens an authorization URL as its user would: signs in if asked, allows if asked. Returns the address of the answer."""
    page: Page = browser.open(url)
    if "/login" in page.url:
        page = browser.sign_in(page)
    if "/consent" in page.url:
        page = browser.decide(page)
    assert page.left_to is not None, f"still at {page.url}:\n{page.text}"
    return page.left_to

"""`gatehouse connect` in a process of its own, the program that started it, and what lies between it and the server."""

from __future__ import annotations

import io
import itertools
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.actors import Browser, http
from tests.conftest import ROOT

SECONDS = 20
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "host", "version": "1"},
}


def environment(home: Path, **more: str) -> dict[str, str]:
    """Of a person whose home is empty but for what the bridge puts there."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEHOUSE_", "XDG_"))}
    return clean | {"HOME": str(home)} | more


def ran(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`gatehouse …` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=environment(home, **more),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


class Bridge:
    """A host and the bridge that it started: JSON-RPC over its pipes. `opened` are the addresses that people were sent to."""

    def __init__(self, url: str, home: Path, *more: str, command: str = "connect", **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", command, url, "--no-browser", *more],
            cwd=ROOT,
            env=environment(home, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.home = home
        self.opened: list[str] = []
        self.said: list[str] = []
        self.other: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._answers: queue.Queue[bytes | None] = queue.Queue()
        self._words: queue.Queue[bytes | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        for stream, into in ((self.process.stdout, self._answers), (self.process.stderr, self._words)):
            assert stream is not None
            self._threads.append(threading.Thread(target=_read, args=(stream, into), daemon=True))
            self._threads[-1].start()

    def send(self, message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write((message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n")

    def ask(self, method: str, params: dict[str, Any] | None = None, *, modern: bool = False) -> int:
        number = next(self._numbers)
        given = (params or {}) | ({"_meta": META} if modern else {})
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": given})
        return number

    def notify(self, method: str, **params: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def message(self) -> dict[str, Any]:
        """The next one, whatever it is. Nothing but JSON-RPC is ever on standard output."""
        line = self._answers.get(timeout=SECONDS)
        assert line is not None, f"it ended: {self.words()}"
        message: dict[str, Any] = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    def answer(self, number: int) -> dict[str, Any]:
        """The answer to this request; the rest is in `other`."""
        while True:
            message = self.message()
            if message.get("id") == number and "method" not in message:
                return message
            self.other.append(message)

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            message = self.message()
            if wanted(message):
                return message
            self.other.append(message)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = self.answer(self.ask("tools/call", {"name": tool, "arguments": arguments}))
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def begin(self, **capabilities: Any) -> int:
        client = {"name": "host", "version": "1"}
        asked = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client}
        return self.ask("initialize", asked)

    def shake_hands(self, **capabilities: Any) -> dict[str, Any]:
        answer = self.answer(self.begin(**capabilities))
        assert "result" in answer, answer
        self.notify("notifications/initialized")
        result: dict[str, Any] = answer["result"]
        return result

    def hears(self, wanted: str) -> str:
        """The next line on standard error with these words."""
        while True:
            line = self._words.get(timeout=SECONDS)
            assert line is not None, f"it ended without {wanted!r}: {self.said}"
            self.said.append(line.decode())
            if wanted in self.said[-1]:
                return self.said[-1]

    def address(self) -> str:
        """Where the person is sent."""
        found = re.search(r"open (http\S+)", self.hears("to sign in to"))
        assert found
        self.opened.append(found[1])
        return found[1]

    def sign_in(self, browser: Browser) -> None:
        """The person opens what is printed, allows it, and the browser brings the answer back."""
        page = browser.open(self.address())
        if "/login" in page.url:
            page = browser.sign_in(page)
        if "/consent" in page.url:
            page = browser.decide(page)
        assert page.left_to, page.text
        assert "You can close this window" in http().get(page.left_to).text

    def words(self) -> str:
        """All of standard error so far."""
        with suppress(queue.Empty):
            while (line := self._words.get_nowait()) is not None:
                self.said.append(line.decode())
        return "".join(self.said)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """As hosts do: standard input is closed."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            for thread in self._threads:
                thread.join(10)


def _read(stream: IO[bytes], into: queue.Queue[bytes | None]) -> None:
    with io.BufferedReader(stream) as lines:  # type: ignore[type-var]
        for line in lines:
            into.put(line)
    into.put(None)


class Cable:
    """The network between bridge and server, which can be cut, and plugged into another server."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://localhost:{self.port}"
        self._open: list[socket.socket] = []

    def plug(self, port: int) -> None:
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._listener, port), daemon=True).start()

    def cut(self) -> None:
        """Everything under way breaks, and new connections are refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()
        while self._open:
            connection = self._open.pop()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _serve(self, listener: socket.socket, port: int) -> None:
        with suppress(OSError):
            while True:
                near = listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", port))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

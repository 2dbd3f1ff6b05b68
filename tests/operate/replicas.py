"""Replicas as an operator runs them: processes of their own on one database, one after the other on the same port."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.actors import http
from tests.conftest import ROOT, SECRET_KEY, House
from tests.stories.test_starting import Running, Start

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
TOOLS = """
[resources.tools]
path = "/mcp"
title = "Tools"
builtin = true

[resources.news]
path = "/news/mcp"
title = "News"
python = "tests.operate.news:news"
"""


class Replica:
    """One `gatehouse serve`."""

    def __init__(
        self, start: Start, house: House, port: int, url: str, file: Path, *options: str, **environment: str
    ) -> None:
        self.port = port
        self.own = f"http://127.0.0.1:{port}"
        self._start, self._options = start, options
        self.environment = {
            "GATEHOUSE_DATABASE_URL": house.dsn,
            "GATEHOUSE_PUBLIC_URL": url,
            "GATEHOUSE_SECRET_KEY": SECRET_KEY,
            "GATEHOUSE_RESOURCES_FILE": str(file),
            "GATEHOUSE_REGISTER_PER_MINUTE": "0",
            "GATEHOUSE_LOG_LEVEL": "error",  # nobody reads along, and a pipe that is full would stop it
            "GATEHOUSE_ALLOWED_HOSTS": f"localhost:{port} 127.0.0.1:{port}",
            **environment,
        }
        self.process: Running = self._begun()

    def _begun(self) -> Running:
        return self._start("serve", "--port", str(self.port), *self._options, **self.environment)

    def begin_again(self) -> None:
        self.process = self._begun()

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.process.poll() is None, self.process.sentence()[1]
            return self.readiness() == 200

        wait_until(ready, 30)

    def readiness(self) -> int | None:
        """The status of /readyz on a fresh connection; None when nobody accepts."""
        try:
            return httpx2.get(f"{self.own}/readyz", timeout=5).status_code
        except httpx2.TransportError:
            return None


def wait_until(holds: Callable[[], bool], seconds: float) -> float:
    """How long it took. Fails after `seconds`."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it did not happen"
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def balanced(port: int, one: int, two: int) -> Iterator[subprocess.Popen[str]]:
    """HAProxy with the configuration of deploy/, in front of two ports."""
    assert HAPROXY is not None
    addresses = {"LISTEN": f"127.0.0.1:{port}", "ONE": f"127.0.0.1:{one}", "TWO": f"127.0.0.1:{two}"}
    command = [HAPROXY, "-f", str(ROOT / "deploy" / "haproxy.cfg")]
    process = subprocess.Popen(
        command, env=os.environ | addresses, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(lambda: _answers(port), 30)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _answers(port: int) -> bool:
    try:
        return http().get(f"http://localhost:{port}/readyz").status_code == 200
    except httpx2.TransportError:
        return False

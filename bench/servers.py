"""Child processes: each started with an environment of its own, waited for, and ended by its own handle."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.cores import pin

ROOT = Path(__file__).resolve().parent.parent
SECRET_KEY = "a key for measurements and long enough to seal with"  # a comma would make it two
START_SECONDS = 40.0
STOP_SECONDS = 30.0

_ports = count(os.getpid() * 250)


class DidNotStart(Exception):
    """With the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A server on 127.0.0.1."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    started_at: float  # time.perf_counter

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until(self, path: str, status: int | None) -> float:
        """Seconds from its start until `path` answers with `status` (None: with anything). Raises DidNotStart."""
        while time.perf_counter() - self.started_at < START_SECONDS:
            if self.process.poll() is not None:
                break
            answered = answer(self.port, path)
            if answered is not None and status in (None, answered):
                return time.perf_counter() - self.started_at
            time.sleep(0.01)
        raise DidNotStart(self.log.read_text(errors="replace")[-2000:])

    def stop(self) -> None:
        """SIGTERM, and after a while SIGKILL."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def child(place: Path, name: str, port: int, *command: str, cores: frozenset[int], **settings: str) -> Child:
    """Starts `python -m …` in `place`, with these GATEHOUSE_ settings and no others."""
    log = place / f"{name}.log"
    began = time.perf_counter()
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=place,  # where no .env is
            env=environment(place, settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    pin([process.pid], cores)
    return Child(process, port, log, began)


def environment(place: Path, settings: dict[str, str]) -> dict[str, str]:
    """Bytecode is kept in `place`, so that a start does not compile what an installed package has compiled."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GATEHOUSE_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    ours = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(place / "bytecode")}
    return kept | ours | {f"GATEHOUSE_{name.upper()}": value for name, value in settings.items()}


def free_port() -> int:
    """
    Where nobody listens. Below 32768, where Linux begins to give ports to connections that go out: one of those may
    take a port between its being found free and its server. Each process counts in a stretch of its own.
    """
    for found in _ports:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", 10_240 + found % 22_000))
            return int(probe.getsockname()[1])
    raise AssertionError("unreachable: the count has no end")


def answer(port: int, path: str) -> int | None:
    """The status, or None when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()

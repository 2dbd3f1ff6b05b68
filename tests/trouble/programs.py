"""Programs of others that stand between Gatehouse and Postgres: run for a test, where Debian's packages are installed."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.trouble.gatehouse import until
from tests.trouble.postgres import PATIENCE


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def account() -> dict[str, object]:
    """As root: somebody else, as these programs want it."""
    if os.geteuid() != 0:
        return {}
    who = pwd.getpwnam("gatehouse")  # made for the embedded Postgres
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def give(*paths: Path) -> None:
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, "gatehouse")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def documented(language: str) -> str:
    """The configuration that docs/operate.md shows in this language."""
    found = re.search(
        rf"^```{language}\n(.*?)^```", (ROOT / "docs" / "operate.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None, language
    return found[1]


@contextmanager
def running(
    command: list[str], log: Path, port: int | None = None, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Until the port answers, and no longer than the block."""
    with log.open("ab") as said:
        process = subprocess.Popen(  # type: ignore[call-overload]
            command,
            stdout=said,
            stderr=said,
            cwd="/",
            env={"PATH": os.environ["PATH"]} | (environment or {}),
            **account(),
        )
    try:
        if port is not None:
            until(lambda: listens(port) or process.poll() is not None, PATIENCE, f"{command[0]} listens")
            assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

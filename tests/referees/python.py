"""A Python of its own for servers whose packages must not meet ours: installed from `python/requirements.txt`, by hashes."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

VENV = Path(__file__).parents[2] / ".venv-referees"
STAMP = VENV / ".installed"  # a copy of the lock that was installed
LOCK = Path(__file__).parent / "python" / "requirements.txt"


class NoPython(Exception):
    """Why these referees cannot run here, in one sentence."""


def program() -> Path:
    """Raises NoPython when the packages are not installed, or not these."""
    if not STAMP.is_file() or STAMP.read_bytes() != LOCK.read_bytes():
        raise NoPython("the Python referees are not installed; `make node` installs them")
    return VENV / "bin" / "python"


def install() -> None:
    """Once for each lock, from the index that pip is set to. Raises NoPython."""
    try:
        program()
        return
    except NoPython:
        pass
    venv.create(VENV, with_pip=True, clear=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command = [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=540)
    if ran.returncode:
        said = ran.stderr.strip().splitlines()
        raise NoPython("pip could not install the Python referees: " + (said[-1] if said else f"exit {ran.returncode}"))
    STAMP.write_bytes(LOCK.read_bytes())


def environment() -> dict[str, str]:
    """None of the settings of this process."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "HOME") if name in os.environ}


if __name__ == "__main__":
    try:
        install()
    except NoPython as why:
        sys.exit(f"skipped: {why}")

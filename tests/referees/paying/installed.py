"""What these referees need, installed by hashes: `package-lock.json` into `node_modules`, `requirements.txt` into a Python of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.referees import nodejs

PLACE = Path(__file__).parent
MODULES, VENV = PLACE / "node_modules", PLACE.parents[2] / ".venv-paying"
LOCKS = {MODULES: PLACE / "package-lock.json", VENV: PLACE / "requirements.txt"}
STAMP = ".installed"  # a copy of the lock that was installed


class NotInstalled(Exception):
    """Why these referees cannot run here, in one sentence."""


def python() -> Path:
    """Raises NotInstalled."""
    _look(VENV)
    return VENV / "bin" / "python"


def node() -> Path:
    """Raises NotInstalled."""
    _look(MODULES)
    try:
        return nodejs.program()
    except nodejs.NoNode as why:
        raise NotInstalled(str(why)) from why


def why_not() -> str:
    """Empty when all of it can run."""
    try:
        python()
        node()
    except NotInstalled as why:
        return str(why)
    return ""


def _look(place: Path) -> None:
    stamp = place / STAMP
    if not stamp.is_file() or stamp.read_bytes() != LOCKS[place].read_bytes():
        raise NotInstalled("the paying referees are not installed; `make node` installs them")


def install() -> None:
    """Once for each lock, from where npm and pip are set to look. Nothing that is downloaded is run while it is installed."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("there is no npm to install the paying referees with")
    ci = [npm, "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error"]
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    commands = {MODULES: ci, VENV: [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCKS[VENV])]}
    for place, command in commands.items():
        try:
            _look(place)
            continue
        except NotInstalled:
            pass
        if place is VENV:
            venv.create(VENV, with_pip=True, clear=True)
        ran = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, timeout=540)
        if ran.returncode:
            said = (ran.stderr + ran.stdout).strip().splitlines()
            raise NotInstalled(f"could not install the paying referees: {said[-1] if said else ran.returncode}")
        (place / STAMP).write_bytes(LOCKS[place].read_bytes())


if __name__ == "__main__":
    try:
        install()
    except NotInstalled as why:
        sys.exit(f"skipped: {why}")

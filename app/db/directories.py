"""The directories of the embedded Postgres: ours are made closed, nobody else's is loosened."""

from __future__ import annotations

import hashlib
import os
import platform
import pwd
import tempfile
from pathlib import Path

from app.db.binaries import EmbeddedError, Postgres

LONGEST_SOCKET = 100  # bytes; sun_path has 104 on macOS and 108 on Linux


def default_data_dir() -> Path:
    """/var/lib for root; for others where their system keeps an application's data."""
    if os.geteuid() == 0:
        return Path("/var/lib/gatehouse")
    if platform.system() == "Darwin":
        return Path.home() / "Library" / "Application Support" / "gatehouse"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "gatehouse"


def make_data_dir(data_dir: Path) -> None:
    """Only ours is made; as root others may pass through it to the database's own directories, but not look."""
    try:
        if not data_dir.is_dir():
            data_dir.parent.mkdir(parents=True, exist_ok=True)
            data_dir.mkdir(mode=0o700)
            if os.geteuid() == 0:
                data_dir.chmod(0o711)
        if not os.access(data_dir, os.W_OK | os.X_OK):
            raise EmbeddedError(f"the data directory {data_dir} is not writable; choose another --data-dir")
    except OSError as fault:
        raise EmbeddedError(
            f"the data directory {data_dir} cannot be made: {fault.strerror}; choose another --data-dir"
        ) from None


def socket_dir(data_dir: Path, programs: Postgres, *, make: bool) -> Path:
    """Beside the data; where that path is too long for a socket, a short one of ours under the temporary directory."""
    uid = programs.account.pw_uid if programs.account else os.geteuid()
    place = data_dir / "run"
    if len(os.fsencode(place / ".s.PGSQL.5432")) > LONGEST_SOCKET:
        digest = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:12]
        place = Path(tempfile.gettempdir()) / f"gatehouse-{uid}-{digest}"
    if make and not place.exists():
        place.mkdir(mode=0o700)
        give(place, programs)
    if place.exists():
        status = place.lstat()
        if status.st_uid != uid:
            owner = _name(status.st_uid)
            raise EmbeddedError(f"{place} belongs to {owner}: run this as who started it before, or as root")
        if not place.is_dir() or place.is_symlink() or status.st_mode & 0o077:
            raise EmbeddedError(f"{place} is open to others, or no directory; remove it and start again")
    return place


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def give(path: Path, programs: Postgres) -> None:
    """To the account that Postgres runs under, where that is not ours."""
    if programs.account is not None:
        os.chown(path, programs.account.pw_uid, programs.account.pw_gid)

"""The embedded Postgres: made whole or not at all, adopted or started, closed to everybody else, nobody's directories loosened."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.db import binaries, embedded
from app.db.binaries import EmbeddedError
from tests.conftest import ROOT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody else to run Postgres as")


@pytest.fixture
def place() -> Iterator[Path]:
    """A data directory that is not there yet, below one that everybody may pass through."""
    parent = Path(tempfile.mkdtemp(prefix="gatehouse-pg-"))
    parent.chmod(0o711)
    yield parent / "data"
    embedded.stop(parent / "data")
    shutil.rmtree(parent, ignore_errors=True)


def query(dsn: str, *statements: str, **options: object) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(dsn, **options)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def postmaster(place: Path) -> int:
    return int((place / "pg" / "postmaster.pid").read_text().splitlines()[0])


def gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return
        if state == "Z":
            return
    raise AssertionError("the process is still there")


def test_a_new_one_is_usable_and_keeps_what_is_written(place: Path) -> None:
    with embedded.hold(place):
        first = embedded.start(place)
        assert not first.adopted
        query(first.dsn, "CREATE TABLE t (x int)", "INSERT INTO t VALUES (7) RETURNING x")
        assert embedded.running(place) is not None
        embedded.stop(place)
        assert embedded.running(place) is None
        assert query(embedded.start(place).dsn, "SELECT x FROM t") == 7


def test_a_server_left_running_is_adopted(place: Path) -> None:
    """After a kill -9 of Gatehouse: the lock is free, the database runs on."""
    with embedded.hold(place):
        embedded.start(place)
        pid = postmaster(place)
    with embedded.hold(place):
        assert embedded.start(place).adopted
        assert postmaster(place) == pid


def test_a_killed_server_does_not_block_the_next_start(place: Path) -> None:
    """kill -9 of the database too, as in a power failure: what was committed is there."""
    with embedded.hold(place):
        query(embedded.start(place).dsn, "CREATE TABLE t (x int)", "INSERT INTO t VALUES (8) RETURNING x")
        pid = postmaster(place)
        os.kill(pid, signal.SIGKILL)
        gone(pid)
        again = embedded.start(place)
        assert not again.adopted
        assert query(again.dsn, "SELECT x FROM t") == 8


def test_a_pid_that_was_given_to_somebody_else_is_swept(place: Path) -> None:
    """After a reboot the number in postmaster.pid may belong to anything, which must be neither waited for nor stopped."""
    with embedded.hold(place):
        embedded.start(place)
        lines = (place / "pg" / "postmaster.pid").read_text().splitlines()
        embedded.stop(place)
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        (place / "pg" / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        embedded.stop(place)
        assert other.poll() is None, "a stranger was stopped"
        assert not embedded.start(place).adopted
        other.communicate(b"\n")


def test_a_half_made_cluster_is_made_anew(place: Path) -> None:
    with embedded.hold(place):
        (place / "pg-draft").mkdir(parents=True)
        (place / "pg-draft" / "PG_VERSION").write_text("18\n")
        assert query(embedded.start(place).dsn, "SELECT 1") == 1
        assert not (place / "pg-draft").exists()


def test_the_second_holder_is_told_who_the_first_is(place: Path) -> None:
    with (
        embedded.hold(place),
        pytest.raises(EmbeddedError, match=f"pid {os.getpid()}") as refused,
        embedded.hold(place),
    ):
        pass
    assert str(place) in str(refused.value)
    with embedded.hold(place):
        assert (place / "lock").read_text().strip() == str(os.getpid())


def test_it_is_closed_to_everybody_else(place: Path) -> None:
    """No TCP, no trust: the password is asked for, and the directories are closed."""
    with embedded.hold(place):
        started = embedded.start(place)
        assert query(started.dsn, "SHOW listen_addresses") == ""
        with pytest.raises(asyncpg.InvalidPasswordError):
            query(started.dsn, "SELECT 1", password="wrong")
        assert stat.S_IMODE((place / "pg").stat().st_mode) == 0o700
        assert stat.S_IMODE((place / "run").stat().st_mode) == 0o700
        assert stat.S_IMODE((place / "pg-password").stat().st_mode) == 0o600
        password = (place / "pg-password").read_text()
        assert password not in (place / "pg.log").read_text()


@as_root
def test_a_directory_of_somebody_else_says_whose_it_is(place: Path) -> None:
    """Not that it is to be removed, which whoever is not root tries in vain."""
    with embedded.hold(place):
        (place / "run").mkdir(mode=0o700)
        os.chown(place / "run", pwd.getpwnam("daemon").pw_uid, -1)
        with pytest.raises(EmbeddedError, match="belongs to daemon: run this as who started it before, or as root"):
            embedded.start(place)
        (place / "run").rmdir()
        embedded.start(place)
        embedded.stop(place)
        (place / "run").chmod(0o755)
        with pytest.raises(EmbeddedError, match="open to others, or no directory; remove it"):
            embedded.start(place)


def test_a_long_path_gets_a_short_socket(place: Path) -> None:
    """sun_path has about a hundred bytes; a quote in the path is no trouble either."""
    long = place.parent / ("d" * 90 + " it's") / "data"
    long.parent.mkdir(mode=0o711)
    with embedded.hold(long):
        try:
            assert query(embedded.start(long).dsn, "SELECT 1") == 1
            assert embedded.running(long) is not None
        finally:
            embedded.stop(long)


def test_a_cluster_of_another_major_version_is_left_alone(place: Path) -> None:
    with embedded.hold(place):
        embedded.start(place)
        embedded.stop(place)
        (place / "pg" / "PG_VERSION").write_text("14\n")
        with pytest.raises(EmbeddedError, match="made by Postgres 14"):
            embedded.start(place)


def test_where_there_is_no_wheel_it_says_what_to_do(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with embedded.hold(place), pytest.raises(EmbeddedError, match="set GATEHOUSE_DATABASE_URL"):
        embedded.start(place)


def test_a_place_that_cannot_be_made_is_one_sentence(place: Path) -> None:
    place.parent.joinpath("file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be made"), embedded.hold(place.parent / "file" / "data"):
        pass


@as_root
def test_as_root_it_runs_as_somebody_else_and_loosens_nothing(place: Path) -> None:
    before = {path: path.stat().st_mode for path in [place.parent, *place.parents]}
    with embedded.hold(place):
        embedded.start(place)
        assert Path(f"/proc/{postmaster(place)}").stat().st_uid != 0
        assert {path: path.stat().st_mode for path in before} == before


@as_root
def test_as_root_a_closed_parent_is_named(place: Path) -> None:
    closed = place.parent / "closed"
    closed.mkdir(mode=0o700)
    with embedded.hold(closed / "data"), pytest.raises(EmbeddedError, match=f"cannot enter {closed};"):
        embedded.start(closed / "data")


@as_root
def test_as_root_programs_that_cannot_be_reached_are_copied(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout below /root, as on many a VPS."""
    closed = place.parent / "closed"
    closed.mkdir(mode=0o700)
    package = binaries.installed().parent
    shutil.copytree(package, closed / package.name, symlinks=True)
    if package.with_name(package.name + ".libs").is_dir():
        shutil.copytree(package.with_name(package.name + ".libs"), closed / (package.name + ".libs"))
    home = closed / package.name / binaries.installed().name
    monkeypatch.setattr(binaries, "installed", lambda: home)
    with embedded.hold(place):
        assert query(embedded.start(place).dsn, "SELECT 1") == 1
        assert list(place.glob(f"postgres-*/{package.name}/*/bin/postgres"))
        embedded.stop(place)
        embedded.start(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without rights")
def test_an_ordinary_user_needs_no_rights(place: Path) -> None:
    """`gatehouse demo` as a user who owns nothing but a home."""
    home = place.parent / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    nobody = pwd.getpwuid(65534)
    if binaries.blocking(Path(sys.executable).resolve(), nobody) or binaries.blocking(ROOT / "app", nobody):
        pytest.skip("this checkout or this Python is closed to other users")
    ran = subprocess.run(
        [sys.executable, "-m", "app", "demo"],
        cwd=ROOT,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "TMPDIR": str(home)},
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout[-500:] + ran.stderr
    assert "Done" in ran.stdout

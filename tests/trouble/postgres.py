"""A Postgres with a port of its own that a test may kill, stop, fill up and start again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from app.db.binaries import postgres
from app.db.directories import give
from app.db.migrate import upgrade
from bench.servers import free_port

PATIENCE = 30.0
T = TypeVar("T")


class Postgres:
    """One server; `dsn` is its address, past every proxy."""

    def __init__(self, place: Path, disk: Path) -> None:
        self.place = place
        self.port = free_port()
        self.dsn = self.through(self.port)
        self._data = disk / "pg"
        self._programs = postgres(place)
        self._data.mkdir(mode=0o700)
        give(self._data, self._programs)
        options = ("-U", "gatehouse", "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync", "--wal-segsize=1")
        made = self._programs.run("initdb", "-D", str(self._data), *options)
        assert made.returncode == 0, made.stderr
        (self._data / "postgresql.auto.conf").write_text(
            f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n"
            "max_connections = 60\nshared_buffers = 32MB\nmax_wal_size = 16MB\nmin_wal_size = 2MB\n"
            "restart_after_crash = off\n"  # a test says when it comes back
        )
        give(self._data / "postgresql.auto.conf", self._programs)
        self.start()
        self.sql("CREATE DATABASE gatehouse", database="postgres")
        upgrade(self.dsn)

    def through(self, port: int) -> str:
        """Its address behind whatever listens at this port."""
        return f"postgresql://gatehouse@127.0.0.1:{port}/gatehouse?sslmode=disable"

    def start(self) -> None:
        """Until it answers; after a kill too."""
        deadline = time.monotonic() + PATIENCE
        while True:
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            log = str(self._data / "log")
            if self._programs.run("pg_ctl", "start", "-D", str(self._data), "-l", log, "-w").returncode == 0:
                return
            assert time.monotonic() < deadline, (self._data / "log").read_text()[-2000:]

    def stop(self, mode: str = "fast") -> None:
        self._programs.run("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w")

    def kill(self) -> None:
        """As the kernel does when memory is short: nobody says goodbye."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """It listens, and answers nothing any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def recover(self) -> None:
        """Whatever a test did, it runs again."""
        self.thaw()
        try:
            self.sql("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            self.stop("immediate")
            self.start()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(OSError, ValueError):
            postmaster = int((self._data / "postmaster.pid").read_text().split("\n")[0])
            for pid in (postmaster, *children(postmaster)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def sql(self, statement: str, *values: object, database: str = "gatehouse") -> list[tuple[Any, ...]]:
        async def run(connection: Any) -> list[tuple[Any, ...]]:
            if not values:  # several statements may be one text
                return [tuple(row) for row in await connection.fetch(statement)]
            return [tuple(row) for row in await connection.fetch(statement, *values)]

        return self.connected(run, database)

    def connected(self, work: Callable[[Any], Awaitable[T]], database: str = "gatehouse") -> T:
        async def run() -> T:
            connection = await asyncpg.connect(self.dsn.replace("/gatehouse?", f"/{database}?"), timeout=PATIENCE)
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def end(self) -> None:
        self.thaw()
        self.stop("immediate")
        self.kill()


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


@contextmanager
def running(disk: Path | None = None) -> Iterator[Postgres]:
    """A migrated one, gone afterwards; with its data on a disk of the test's own, if it has one."""
    place = Path(tempfile.mkdtemp(prefix="gatehouse-trouble-"))
    for folder in (place, disk or place):
        folder.chmod(0o711)  # as root, Postgres runs as somebody else, who has to pass through
    database = Postgres(place, disk or place)
    try:
        yield database
    finally:
        database.end()
        shutil.rmtree(place, ignore_errors=True)

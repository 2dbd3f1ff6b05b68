"""Two Postgres under Patroni, synchronous, and HAProxy before them, configured as docs/operate.md says; all on this computer."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.db.migrate import upgrade
from bench.servers import free_port
from tests.trouble import programs
from tests.trouble.gatehouse import until
from tests.trouble.postgres import children

STARTS = 60.0  # seconds for the first election and the first copy
NODE = """
scope: gatehouse
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
etcd3: {{host: "127.0.0.1:{etcd}"}}
bootstrap:
  initdb: [{{encoding: UTF8}}, {{locale: C}}]
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  dcs:
{dcs}
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {folder}/{name}
  bin_dir: {programs}
  pgpass: {folder}/{name}.pgpass
  parameters: {{unix_socket_directories: "", shared_buffers: 32MB}}
  authentication:
    superuser: {{username: gatehouse, password: secret}}
    replication: {{username: replicator, password: secret}}
"""


class Node:
    """One Postgres and the Patroni that looks after it."""

    def __init__(self, name: str, folder: Path, etcd: int, bin_dir: Path, dcs: str) -> None:
        self.name, self.port, self.rest = name, free_port(), free_port()
        self._folder = folder
        self.configuration = folder / f"{name}.yml"
        values = {"etcd": etcd, "folder": folder, "programs": bin_dir, "port": self.port, "rest": self.rest}
        values["dcs"] = textwrap.indent(dcs, "    ")
        self.configuration.write_text(NODE.format(name=name, **values))
        self._running: Any = None

    def start(self, stack: ExitStack) -> None:
        command = [programs.program("patroni"), str(self.configuration)]
        self._running = stack.enter_context(programs.running(command, self._folder / f"{self.name}.log", self.rest))

    def is_(self, role: str) -> bool:
        """As HAProxy asks: primary, replica, or sync for the replica that has everything."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/{role}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def die(self) -> None:
        """As a machine does: Patroni and Postgres at once."""
        self._running.kill()
        with suppress(OSError, ValueError):
            for pid in self._processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def keeps_to_itself(self) -> None:
        """From now on nothing leaves it for the other; as when the network between them is slow."""
        senders = [pid for pid in self._processes() if b"walsender" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert senders, "the replica is connected"
        for pid in senders:
            os.kill(pid, signal.SIGSTOP)

    def _processes(self) -> list[int]:
        postmaster = int((self._folder / self.name / "postmaster.pid").read_text().split("\n")[0])
        return [postmaster, *children(postmaster)]

    def said(self) -> str:
        return (self._folder / f"{self.name}.log").read_text()[-3000:]


class Cluster:
    """`dsn` leads to the primary, whichever that is."""

    def __init__(self, folder: Path, stack: ExitStack, *, synchronous: bool) -> None:
        etcd, peers = free_port(), free_port()
        bin_dir = debians_postgres()
        self.stack = stack
        clients, others = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
        command = [programs.program("etcd"), "--data-dir", str(folder / "etcd"), "--listen-client-urls", clients]
        command += ["--advertise-client-urls", clients, "--listen-peer-urls", others, "--unsafe-no-fsync"]
        command += ["--initial-advertise-peer-urls", others, "--initial-cluster", f"default={others}"]
        stack.enter_context(programs.running(command, folder / "etcd.log", etcd))
        dcs = programs.documented("yaml")
        assert "synchronous_mode: true\n" in dcs
        if not synchronous:
            dcs = dcs.replace("synchronous_mode: true\n", "synchronous_mode: false\n")
        self.nodes = [Node(name, folder, etcd, bin_dir, dcs) for name in ("pg1", "pg2")]
        self.port = free_port()
        (folder / "haproxy.cfg").write_text(self._haproxy())
        for node in self.nodes:
            node.start(stack)
        proxy = [programs.program("haproxy"), "-f", str(folder / "haproxy.cfg"), "-db"]
        stack.enter_context(programs.running(proxy, folder / "haproxy.log", self.port))
        copies = "sync" if synchronous else "async"
        until(lambda: any(node.is_(copies) for node in self.nodes), STARTS, self.nodes[0].said())
        self.dsn = f"postgresql://gatehouse@127.0.0.1:{self.port}/gatehouse?sslmode=disable"
        until(lambda: self.can("CREATE DATABASE gatehouse", "postgres"), STARTS, "the primary behind HAProxy")
        upgrade(self.dsn)

    def _haproxy(self) -> str:
        text = programs.documented("haproxy").replace("127.0.0.1:5000", f"127.0.0.1:{self.port}")
        for address, node in zip(("10.0.0.5", "10.0.0.6"), self.nodes, strict=True):
            text = text.replace(f"{address}:5432 check port 8008", f"127.0.0.1:{node.port} check port {node.rest}")
        return text

    @property
    def primary(self) -> Node:
        (found,) = [node for node in self.nodes if node.is_("primary")]
        return found

    def can(self, statement: str, database: str = "gatehouse") -> bool:
        try:
            self.sql(statement, database=database)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    def sql(self, statement: str, *values: object, database: str = "gatehouse") -> list[tuple[Any, ...]]:
        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.dsn.replace("/gatehouse?", f"/{database}?"), timeout=5)
            try:
                return [tuple(row) for row in await connection.fetch(statement, *values, timeout=10)]
            finally:
                await connection.close(timeout=1)

        return asyncio.run(run())

    def switched(self) -> None:
        """By the operator, as for an upgrade: the two change places."""
        leader = self.primary
        other = next(node for node in self.nodes if node is not leader)
        body = json.dumps({"leader": leader.name, "candidate": other.name}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{leader.rest}/switchover", body, method="POST")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert answer.status == 200


def debians_postgres() -> Path:
    """Of a version that Debian's Patroni knows."""
    found = [
        place
        for place in Path("/usr/lib/postgresql").glob("*/bin")
        if (place / "postgres").exists() and int(place.parent.name) < 17
    ]
    if not found:
        pytest.skip("Postgres 15 or 16 is not installed here")
    return max(found)


@contextmanager
def cluster(*, synchronous: bool = True) -> Iterator[Cluster]:
    """As docs/operate.md has it; or, without `synchronous`, as it says one must not."""
    for name in ("patroni", "etcd", "haproxy"):
        programs.program(name)
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-cluster-"))
    programs.give(folder)
    try:
        with ExitStack() as stack:
            yield Cluster(folder, stack, synchronous=synchronous)
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""The connections to one backend, kept alive between exchanges (RFC 9112 §9.3), and how many there may be."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None  # type: ignore[assignment]

from app.gate.backends.faults import Busy, TimedOut, Unreachable
from app.gate.backends.wire import Connection

CONNECT_SECONDS = 10.0
ANY_FILES = 1_000_000
PROBE_SECONDS = 60  # a peer that is gone without a word is found out even where nothing is sent
PROBES = (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", PROBE_SECONDS), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backend listens. `tls` is absent for http; `authority` is for the Host header, `target` for the request line."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    authority: str
    target: str

    @classmethod
    def of(cls, url: str, *ca_files: str | Path | None) -> Place:
        """Raises ValueError for another scheme, OSError when one of `ca_files` cannot be read."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http or https URL: {url}")
        tls = None
        if parts.scheme == "https":
            tls = ssl.create_default_context()
            tls.set_alpn_protocols(["http/1.1"])
            for ca_file in ca_files:
                if ca_file is not None:
                    tls.load_verify_locations(ca_file)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname, port, tls, parts.netloc.rpartition("@")[2], target)


class Pool:
    """Last in, first out: what is not needed grows old and is closed."""

    def __init__(self, place: Place, seconds: float, most: int) -> None:
        """`seconds` until a connection is given up; at most `most` at a time, and no more than leave this process files for
        its callers' connections, and for all else."""
        self._place = place
        self._seconds = min(seconds, CONNECT_SECONDS)
        self._most = min(most, _files() // 3)
        self._idle: list[Connection] = []
        self._taken = 0

    @property
    def free(self) -> int:
        """How many more there may be."""
        return self._most - self._taken

    async def take(self, *, fresh: bool = False) -> Connection:
        """A connection for one exchange; `fresh`: one that has never been used. Raises Busy, Unreachable and TimedOut."""
        self._taken += 1
        try:
            while self._idle and not fresh:
                connection = self._idle.pop()
                if connection.is_reusable:
                    return connection
            if self._taken > self._most:
                raise Busy(f"{self._most} connections are open", retry_after=1)
            return await self._connected()
        except BaseException:
            self._taken -= 1
            raise

    def give_back(self, connection: Connection, now: float) -> None:
        """Once for each that was taken. It is kept if it can be used again; `now` is the loop's time."""
        self._taken -= 1
        if connection.is_reusable:
            connection.idle_since = now
            self._idle.append(connection)
        else:
            connection.close()

    def drop_stale(self, now: float) -> bool:
        """Closes what has been idle for too long. False when nothing is left to be closed later."""
        kept = []
        for connection in self._idle:
            if connection.is_reusable and now - connection.idle_since < connection.idle_seconds:
                kept.append(connection)
            else:
                connection.close()
        self._idle = kept
        return bool(kept)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _connected(self) -> Connection:
        place = self._place
        try:
            async with asyncio.timeout(self._seconds):
                transport, connection = await asyncio.get_running_loop().create_connection(
                    Connection, place.host, place.port, ssl=place.tls, server_hostname=place.host if place.tls else None
                )
        except TimeoutError:
            raise TimedOut("no connection within the time") from None
        except OSError as fault:  # ssl.SSLError and socket.gaierror are such
            raise Unreachable(f"{type(fault).__name__}: {fault}") from None
        _probe(transport)
        return connection


def _files() -> int:
    """How many this process may have open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else ANY_FILES
    return soft if 0 < soft < ANY_FILES else ANY_FILES


def _probe(transport: asyncio.BaseTransport) -> None:
    found = transport.get_extra_info("socket")
    for name, value in PROBES:
        option = getattr(socket, name, None)  # not every system has all of them
        if found is not None and option is not None:
            level = socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP
            found.setsockopt(level, option, value)

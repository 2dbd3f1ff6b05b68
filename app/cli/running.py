"""One server process: the port claimed first, uvicorn with our limits, and signals that stop everything in order."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvicorn

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None  # type: ignore[assignment]

from app.cli.console import Refused
from app.cli.operating import setting
from app.cli.wire import Wire

if TYPE_CHECKING:  # half a second that the other commands need not wait
    from app.main import Gatehouse

OPTIONS: dict[str, Any] = {
    "http": Wire,  # on httptools, which refuses Content-Length with Transfer-Encoding; h11 serves the smuggled request
    "ws": "none",
    "lifespan": "on",
    "log_config": None,
    "access_log": False,  # it would log query strings, and with them codes
    "proxy_headers": False,  # forwarded addresses are ours to judge (GATEHOUSE_TRUSTED_PROXIES)
    "server_header": False,
    "timeout_keep_alive": 15,
}
FILES = 65_536
HOST, PORT, HIGHEST_PORT = "127.0.0.1", 8000, 65535

Host = Annotated[str | None, typer.Option("--host", help=f"Address to listen on; else GATEHOUSE_HOST, else {HOST}.")]
Port = Annotated[
    int | None,
    typer.Option("--port", help=f"Port to listen on; else GATEHOUSE_PORT, else {PORT}.", min=0, max=HIGHEST_PORT),
]


def address(host: str | None, port: int | None) -> tuple[str, int]:
    """Where to listen: as the options say, else the environment, else .env. Raises Refused."""
    written = setting("PORT") or str(PORT)
    if port is None and not (written.isascii() and written.isdigit() and int(written) <= HIGHEST_PORT):
        raise Refused(f"GATEHOUSE_PORT must be a number from 0 to {HIGHEST_PORT}", 2)
    return host or setting("HOST") or HOST, int(written) if port is None else port


def allow_files() -> None:
    """As many open files as the system lets this process have: mostly it begins with 1,024, and each connection is one."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def claimed(host: str, port: int) -> socket.socket:
    """The listening socket. Raises Refused when somebody else has the port, or the address is not ours."""
    allow_files()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's delay off only where it is: 40 ms an answer otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Bound is not yet taken: with SO_REUSEADDR only listening tells whether another server is there.
        listener.listen(2048)
    except OSError as fault:
        listener.close()
        if fault.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {port} is in use on {host}; stop what listens there, or choose another --port"
            ) from None
        raise Refused(f"cannot listen on {host}:{port}: {fault.strerror or fault}") from None
    return listener


class Server(uvicorn.Server):
    """uvicorn, telling us when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def serving(app: Gatehouse, ready: Callable[[], None], *, drain_seconds: int) -> Server:
    """A server that has not started yet."""
    return Server(uvicorn.Config(app, loop="uvloop", timeout_graceful_shutdown=drain_seconds, **OPTIONS), ready)


def serve_here(app: Gatehouse, listener: socket.socket, ready: Callable[[], None], *, drain_seconds: int) -> None:
    """Serves until SIGINT or SIGTERM, then lets running requests end within `drain_seconds`. Raises Refused if it cannot start."""
    server = serving(app, ready, drain_seconds=drain_seconds)
    # uvicorn raises the signal again when it is done; what was opened around it still has to be closed.
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        server.run([listener])
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()
    if not server.started:
        raise Refused("the server could not start; the log says why")


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)

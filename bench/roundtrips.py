"""SQL round trips, counted on the wire: a proxy in front of Postgres's socket that sees every message of the server."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from bench.jobs import Job
from bench.load import drive

SOCKET = ".s.PGSQL.5432"
# Sync, Query and Flush: what the client sends before it has to wait for an answer.
WAITS = (b"S", b"Q", b"H")
SSL_OR_GSS = (80877103, 80877104)
WARM, COUNTED = 15, 25  # requests; asyncpg prepares a statement when a connection first meets it


class Counter:
    """How often the server has waited for Postgres."""

    def __init__(self) -> None:
        self.trips = 0


@asynccontextmanager
async def counting_proxy(dsn: str, place: Path) -> AsyncIterator[tuple[Counter, str]]:
    """The counter, and the DSN that leads through the proxy."""
    parts = urlsplit(dsn)
    behind = str(Path(parse_qs(parts.query)["host"][0]) / SOCKET)
    counter = Counter()
    running: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_relay(reader, writer, behind, counter))
        running.add(task)
        task.add_done_callback(running.discard)

    proxy = await asyncio.start_unix_server(accepted, str(place / SOCKET))
    try:
        yield counter, urlunsplit(parts._replace(query=f"host={quote(str(place))}"))
    finally:
        proxy.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: str, counter: Counter) -> None:
    answers, questions = await asyncio.open_unix_connection(behind)
    back = asyncio.ensure_future(_copy(answers, writer))
    try:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await _count(reader, questions, counter)
    finally:
        back.cancel()
        writer.close()
        questions.close()


async def _count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: Counter) -> None:
    """PostgreSQL's protocol 3: the start-up message has no type, every other is a type and a length."""
    code = SSL_OR_GSS[0]
    while code in SSL_OR_GSS:
        length = await reader.readexactly(4)
        rest = await reader.readexactly(int.from_bytes(length) - 4)
        code = int.from_bytes(rest[:4])
        writer.write(length + rest)
    while True:
        head = await reader.readexactly(5)
        counter.trips += head[:1] in WAITS
        writer.write(head + await reader.readexactly(int.from_bytes(head[1:]) - 4))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To the end, and passes the end on: a client that said goodbye waits for it."""
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def counted(job: Job, port: int, counter: Counter) -> int:
    """Of one request, alone and warm: the median, since the server's own polling every second is counted too."""
    if job.prepare is not None:
        await job.prepare(0.1)
    trips = []
    for _ in range(WARM + COUNTED):
        before = counter.trips
        await drive(job.task, port, seconds=5, most=1, connections=1)
        trips.append(counter.trips - before)
    return int(statistics.median(trips[WARM:]))

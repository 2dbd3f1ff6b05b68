"""Structured logs: JSON lines, or colours on a terminal; each with the request id, none with a secret (security.md §2.3), and
nothing in them that a terminal would obey: paths, addresses and faults have what strangers wrote in them."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import re
import sys
from collections import deque
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from io import StringIO
from typing import Any, TextIO

import structlog
from pydantic_core import to_json
from structlog.tracebacks import ExceptionDictTransformer

from app.asking import request_id, trace

# Where it happened, never with what: the variables of a frame are tokens, arguments of tools, and kilobytes.
TRACES = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
SECRET = re.compile("token|secret|password|code|state|authorization|cookie|api_?key|verifier", re.IGNORECASE)
LEVELS = {"warn": "warning", "exception": "error", "fatal": "critical"}


class Lines:
    """structlog's logger: what one turn of the loop says is written at its end, at once; without a loop, each line as it comes."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._said: deque[str] = deque()  # several loops of one process may add to it
        atexit.register(self._flush)

    def msg(self, line: str) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write(line)
            return
        self._said.append(line)
        if len(self._said) == 1:
            loop.call_soon(self._flush)

    log = debug = info = warn = warning = error = critical = fatal = exception = msg

    def _flush(self) -> None:
        said = []
        while self._said:
            said.append(self._said.popleft())
        if said:
            self._write("\n".join(said))

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(f"{text}\n")
            self._stream.flush()


def configure(level: str, *, pretty: bool | None = None) -> None:
    """For the process: our own events and those of the libraries, to stderr. `pretty` defaults to whether it is a terminal."""
    pretty = sys.stderr.isatty() if pretty is None else pretty
    least = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    of_libraries = max(least, logging.WARNING)  # they say much, and uvicorn a line of every caller who speaks no HTTP
    shared: list[Any] = [_dressed]
    coloured = structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=_traceback)
    last: list[Any] = [_tamed, coloured] if pretty else [_as_json]
    lines = Lines(sys.__stderr__)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *args: lines,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_plain, *last]))
    logging.basicConfig(handlers=[handler], level=of_libraries, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "mcp"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(of_libraries)


def _dressed(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """With its level, time and request, and without secrets: a last line of defence, since nothing that we log has such a name,
    but a library may. All in one, since there is one such line for every request."""
    for name in event:
        if _is_secret(name):
            event[name] = "***"
    event["level"] = LEVELS.get(method, method)
    event["timestamp"] = f"{datetime.now(UTC).isoformat(timespec='microseconds')[:-6]}Z"  # without +00:00
    identifier = request_id.get()
    if identifier != "-":
        event["request_id"] = identifier
        part = trace.get()
        if part is not None:
            event["trace_id"] = part.id
    return event


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return SECRET.search(name) is not None


def _plain(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


def _as_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    if "exc_info" in event:
        event = TRACES(logger, method, dict(event))
    return tame(to_json(event, fallback=str).decode())


def _tamed(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What is no text is shown by its repr, which is tame."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = tame(value)
    return event


def _traceback(stream: TextIO, exc_info: Any) -> None:
    plain = StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    stream.write("\n".join(tame(line) for line in plain.getvalue().split("\n")))


def tame(line: str) -> str:
    """With escapes, as JSON has them, for all that would move the cursor, hide, or turn the direction of what stands beside it."""
    return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)

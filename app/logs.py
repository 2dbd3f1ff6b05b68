"""Structured logs: JSON lines, or colours on a terminal; each with the request id, none with a secret (security.md §2.3)."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from pydantic_core import to_json
from structlog.tracebacks import ExceptionDictTransformer

from app.asking import request_id, trace

# Where it happened, never with what: the variables of a frame are tokens, arguments of tools, and kilobytes.
TRACES = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
SECRET = re.compile("token|secret|password|code|state|authorization|cookie|api_?key|verifier", re.IGNORECASE)


def configure(level: str, *, pretty: bool | None = None) -> None:
    """For the process: our own events and those of the libraries, to stderr. `pretty` defaults to whether it is a terminal."""
    pretty = sys.stderr.isatty() if pretty is None else pretty
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_request_id,
        _without_secrets,
    ]
    last: list[Any] = (
        [structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=structlog.dev.plain_traceback)]
        if pretty
        else [TRACES, structlog.processors.JSONRenderer(serializer=_as_json)]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_plain, *last]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "mcp"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(logging.WARNING)


def _with_request_id(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    identifier = request_id.get()
    if identifier != "-":
        event["request_id"] = identifier
        part = trace.get()
        if part is not None:
            event["trace_id"] = part.id
    return event


def _without_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A last line of defence: nothing we log has such a name, and what a library may log is hidden."""
    for name in event:
        if SECRET.search(name):
            event[name] = "***"
    return event


def _plain(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


def _as_json(event: Any, **options: Any) -> str:
    return to_json(event, fallback=str).decode()

"""Long lists as a file: JSON lines (RFC 8259 each) or CSV (RFC 4180), a row at a time so that memory stays small."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from datetime import date, datetime
from typing import Any

from starlette.responses import Response, StreamingResponse

from app.language.catalogs import N_
from app.protocol.errors import InvalidRequest

TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run (OWASP: CSV injection)


def check(kind: str) -> None:
    """Raises InvalidRequest."""
    if kind not in TYPES:
        raise InvalidRequest(N_("format must be jsonl or csv"))


def sent(rows: AsyncIterator[dict[str, Any]], columns: tuple[str, ...], kind: str, name: str) -> Response:
    """To be kept as NAME.csv or NAME.jsonl."""
    return attached(_lines(rows, columns, kind), kind, name)


def attached(lines: AsyncIterator[str], kind: str, name: str) -> Response:
    """The same of what is written already."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines, media_type=TYPES[kind], headers=headers)


def line(cells: Iterable[Any]) -> str:
    """Of CSV."""
    written = io.StringIO()
    csv.writer(written).writerow([harmless(cell) for cell in cells])
    return written.getvalue()


def harmless(cell: Any) -> Any:
    return f"'{cell}" if str(cell).startswith(FORMULA) else cell


async def _lines(rows: AsyncIterator[dict[str, Any]], columns: tuple[str, ...], kind: str) -> AsyncIterator[str]:
    if kind == "csv":
        yield line(columns)
    async for row in rows:
        said = {name: _plain(row[name]) for name in columns}
        if kind == "csv":
            yield line("" if value is None else value for value in said.values())
        else:
            yield json.dumps({name: value for name, value in said.items() if value is not None}) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value

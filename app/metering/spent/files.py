"""The books as a file: JSON lines (RFC 8259 each) or CSV (RFC 4180), a row at a time so that memory stays small."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
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
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines(rows, columns, kind), media_type=TYPES[kind], headers=headers)


async def lines(rows: AsyncIterator[dict[str, Any]], columns: tuple[str, ...], kind: str) -> AsyncIterator[str]:
    if kind == "csv":
        yield _row(list(columns))
    async for row in rows:
        said = {name: _plain(row[name]) for name in columns}
        if kind == "csv":
            yield _row(["" if value is None else value for value in said.values()])
        else:
            yield json.dumps({name: value for name, value in said.items() if value is not None}) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _row(cells: list[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([f"'{cell}" if str(cell).startswith(FORMULA) else cell for cell in cells])
    return line.getvalue()

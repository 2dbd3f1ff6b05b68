"""`gatehouse audit list|export`: who did what, from the audit log (docs/audit.md)."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from app import asking, audit
from app.api_keys.keys import duration
from app.cli.console import Json, Refused, show
from app.cli.operating import operate
from app.protocol.errors import OAuthError
from app.users.store import by_email
from app.world import World

commands = typer.Typer(name="audit", help="Who did what, and when.", no_args_is_help=True)
Since = Annotated[
    str, typer.Option(help="From when on: how far to look back, such as 12h or 30d, or a day, 2026-11-30.")
]
Happened = Annotated[str, typer.Option("--event", help="Only this event, such as login.refused, or group: api_key.")]
User = Annotated[str, typer.Option(metavar="EMAIL-OR-ID", help="Only what concerns this user.")]
Client = Annotated[str, typer.Option(metavar="CLIENT_ID", help="Only what concerns this app.")]
By = Annotated[
    str, typer.Option(metavar="WHO", help="Only what this user or app did; or operator, system, nobody, user, client.")
]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets would run


@commands.command("list")
def list_events(
    since: Since = "",
    event: Happened = "",
    user: User = "",
    client: Client = "",
    by: By = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many lines.")] = 50,
    as_json: Json = False,
) -> None:
    """The newest events first."""

    async def work(world: World) -> list[audit.Event]:
        wanted = await _wanted(world, since, event, user, client, by)
        async with world.db.connect() as db:
            return await audit.newest(db, wanted, limit=limit)

    rows = [told(found) for found in operate(work)]
    if not as_json:
        rows = [_short(row) for row in rows]
    show(rows, as_json=as_json, empty="Nothing of that kind is in the audit log.")


@commands.command("export")
def export(
    since: Since = "",
    event: Happened = "",
    user: User = "",
    client: Client = "",
    by: By = "",
    form: Annotated[str, typer.Option("--format", help="json: an object a line; or csv.")] = "json",
) -> None:
    """Everything, the oldest first, on standard output."""
    if form not in ("json", "csv"):
        raise Refused("--format is json or csv", 2)
    table = csv.writer(sys.stdout, lineterminator="\r\n") if form == "csv" else None

    async def work(world: World) -> None:
        wanted = await _wanted(world, since, event, user, client, by)
        asked = {"only": event or None, "user": wanted.user_id, "client": client or None, "by": wanted.by}
        async with world.db.begin() as db:
            await audit.record(db, "audit.exported", world.now(), format=form, since=since or None, **asked)
        if table is not None:
            table.writerow(audit.Event.__slots__)
        async for row in _everything(world, wanted):
            if table is not None:
                table.writerow([_cell(value) for value in row.values()])
            else:
                print(json.dumps(row, ensure_ascii=False))

    operate(work)


async def _everything(world: World, wanted: audit.Wanted) -> AsyncIterator[dict[str, Any]]:
    """In pages, each in a transaction of its own: whoever reads may be slow."""
    last = 0
    while True:
        async with world.db.connect() as db:
            page = await audit.oldest(db, wanted, after=last)
        for found in page:
            yield told(found)
        if not page:
            return
        last = page[-1].id


async def _wanted(world: World, since: str, event: str, user: str, client: str, by: str) -> audit.Wanted:
    return audit.Wanted(
        since=_moment(since, world.now()) if since else None,
        event=event.rstrip(".") or None,
        user_id=await _user_id(world, user) if user else None,
        client_id=client or None,
        by=by if by in asking.KINDS else await _user_id(world, by) if by else None,
    )


def _moment(text: str, now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        back: timedelta = duration(text)
    except OAuthError:
        raise Refused("--since is how far to look back, such as 12h or 30d, or a day such as 2026-11-30", 2) from None
    return now - back


async def _user_id(world: World, text: str) -> str:
    """Somebody who is gone has no e-mail here any more; their id may still be known."""
    if "@" not in text:
        return text
    async with world.db.connect() as db:
        found = await by_email(db, text.strip().lower())
    if found is None:
        raise Refused(f"{text} has no account")
    return found.id


def told(event: audit.Event) -> dict[str, Any]:
    """As JSON."""
    row = {name: getattr(event, name) for name in audit.Event.__slots__}
    return row | {"at": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """For a terminal: the moment to a second, one column for who did it, the detail as words."""
    detail = " ".join(f"{name}={_word(value)}" for name, value in row["detail"].items())
    return {
        "at": row["at"].replace("T", " ")[:19],
        "event": row["event"],
        "by": f"{row['actor'] or ''} {row['actor_id'] or ''}".strip(),
        "user": row["user_id"],
        "client": row["client_id"],
        "address": row["address"],
        "request": row["request_id"],
        "detail": detail,
    }


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

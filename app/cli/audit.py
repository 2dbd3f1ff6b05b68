"""`gatehouse audit list|export`: who did what, from the audit log (docs/audit.md)."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from app import asking, audit
from app.admin.log import file, store
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

    async def work(world: World) -> list[store.Event]:
        wanted = await _wanted(world, since, event, user, client, by)
        async with world.db.connect() as db:
            return await store.newest(db, wanted, limit=limit)

    rows = [file.told(found) for found in operate(work)]
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

    async def work(world: World) -> None:
        wanted = await _wanted(world, since, event, user, client, by)
        asked = {"only": event or None, "user": wanted.user_id, "client": client or None, "by": wanted.by}
        async with world.db.begin() as db:
            await audit.record(db, "audit.exported", world.now(), format=form, since=since or None, **asked)
        async for batch in file.lines(world, wanted, form):
            sys.stdout.write(batch)

    operate(work)


async def _wanted(world: World, since: str, event: str, user: str, client: str, by: str) -> store.Wanted:
    return store.Wanted(
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


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """For a terminal: the moment to a second, one column for who did it, the detail as words."""
    detail = " ".join(f"{name}={_word(value)}" for name, value in row["detail"].items())
    return {
        "at": row["at"].replace("T", " ")[:19],
        "event": row["event"],
        "by": f"{row.get('actor', '')} {row.get('actor_id', '')}".strip(),
        "user": row.get("user_id"),
        "client": row.get("client_id"),
        "address": row.get("address"),
        "request": row.get("request_id"),
        "detail": detail,
    }


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

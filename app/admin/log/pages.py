"""/admin/audit and /admin/audit/file: what happened, filtered, and all of it to take away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from app.admin.connections.store import user_of
from app.admin.entry import Visit
from app.admin.frame import query, shown, word
from app.admin.log import store
from app.admin.log.file import exported
from app.admin.log.store import Wanted
from app.language.catalogs import N_
from app.protocol.errors import InvalidRequest, OAuthError
from app.protocol.params import Params
from app.web.paging import PAGE

FILTERS = ("event", "user", "client", "by", "since", "until")


async def events(visit: Visit) -> Response:
    """A page of the log, newest first."""
    params = query(visit)
    filters = {name: word(params, name, 300) for name in FILTERS}
    refusal: OAuthError | None = None
    async with visit.world.db.connect() as db:
        try:
            wanted, before = await _wanted(db, params), number(word(params, "before", 20))
            rows = await store.newest(db, wanted, before=before, limit=PAGE + 1)
        except InvalidRequest as fault:
            refusal, rows, before = fault, [], None
        names = await store.names(db)
        people = await store.emails(db, {who for row in rows for who in (row.user_id, row.actor_id) if who})
    return shown(
        visit,
        "admin_audit.html",
        refusal=refusal,
        events=rows[:PAGE],
        before=rows[PAGE - 1].id if len(rows) > PAGE else None,
        is_first=before is None,
        names=names,
        people=people,
        filters=filters,
    )


async def file(visit: Visit) -> Response:
    """All that the filters let through, as JSON lines or CSV."""
    params = query(visit)
    kind = params.get("format") or "jsonl"
    async with visit.world.db.connect() as db:
        wanted = await _wanted(db, params)
    return await exported(visit.world, visit.viewer.user_id, wanted, kind, visit.now)


async def _wanted(db: AsyncConnection, params: Params) -> Wanted:
    people = [(words := word(params, name)) and (await user_of(db, words) or words) for name in ("user", "by")]
    return Wanted(
        since=moment(word(params, "since", 40)),
        until=moment(word(params, "until", 40), whole_day=True),
        event=word(params, "event", 60),
        user_id=people[0],
        client_id=word(params, "client"),
        by=people[1],
    )


def moment(text: str | None, *, whole_day: bool = False) -> datetime | None:
    """A day, or a moment as RFC 3339 has it, in UTC unless it says otherwise; `whole_day`: of a day its end. Raises InvalidRequest."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return (at + timedelta(days=1) if whole_day and len(text) == 10 else at).astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise InvalidRequest(
            N_("a time is a day such as 2026-05-31, or a moment such as 2026-05-31T12:00:00Z")
        ) from fault


def number(text: str | None) -> int | None:
    """The id of an event. Raises InvalidRequest."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest(N_("this page of the list does not exist"))
    return int(text)

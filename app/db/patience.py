"""Nobody waits for ever on a database that is silent: its connection is dropped, and the caller told, which is 503 and not a hang.

Postgres ends a statement itself after `statement_timeout`, but a database that is stopped, or a network that swallows
packets, ends nothing. Asking it to cancel would be one more thing to wait for; so the connection is closed on our side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

CONNECT_SECONDS = 3.0
TURN_SECONDS = 2.0  # for a connection of the hot pool that another request has
PING_SECONDS = 1.0  # whether a connection that lay idle still answers
GOODBYE_SECONDS = 1.0
ANSWER_SECONDS = 6.0  # for one statement: a second more than Postgres gives it, whose own word is the better one


def watch(engine: AsyncEngine) -> None:
    """SQLAlchemy's connections, at each step that waits for the database; and whoever gets one that lay idle
    gets one that answers. `execution_options(answer_within=seconds)` gives a statement longer."""
    for name, told in TOLD.items():
        event.listen(engine.sync_engine, name, told)


def _expect(info: dict[str, Any], connection: Any, seconds: float) -> None:
    """`connection` is SQLAlchemy's, `info` what it keeps for us."""
    _relax(info)
    info["timer"] = asyncio.get_running_loop().call_later(seconds, connection.driver_connection.terminate)


def _relax(info: dict[str, Any]) -> None:
    timer = info.pop("timer", None)
    if timer is not None:
        timer.cancel()


def _opened(connection: Any, record: Any) -> None:
    record.info["fresh"] = True


def _lent(connection: Any, record: Any, proxy: Any) -> None:
    if record.info.pop("fresh", False):
        return
    _expect(record.info, connection, PING_SECONDS)
    try:
        connection.ping()
    except connection.dbapi.Error as fault:
        raise DisconnectionError from fault
    finally:
        _relax(record.info)


def _asks(db: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
    seconds = context.execution_options.get("answer_within", ANSWER_SECONDS)
    _expect(db.info, db.connection.dbapi_connection, seconds)


def _ends(db: Any) -> None:
    if not db.invalidated:
        _expect(db.info, db.connection.dbapi_connection, ANSWER_SECONDS)


def _closes(connection: Any, record: Any, *_: object) -> None:
    with suppress(RuntimeError):  # collected when no loop runs any longer
        _expect(record.info, connection, GOODBYE_SECONDS)


def _failed(context: Any) -> None:
    if isinstance(context.original_exception.__cause__, asyncpg.ReadOnlySQLTransactionError):
        context.is_disconnect = True  # it was the primary once


TOLD: dict[str, Callable[..., None]] = {
    "connect": _opened,
    "checkout": _lent,
    "before_cursor_execute": _asks,
    "after_cursor_execute": lambda db, *_: _relax(db.info),
    "commit": _ends,
    "rollback": _ends,
    "handle_error": _failed,
    "checkin": lambda connection, record: _relax(record.info),
    "close": _closes,
    "invalidate": _closes,
}

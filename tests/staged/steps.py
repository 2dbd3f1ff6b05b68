"""The statements of one request, counted as the driver sends them, and the death of the process at one of them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import asyncpg

KILLED = 9
BEFORE_ANSWER, HALF_ANSWERED = "answer", "half"


@dataclass
class Part:
    """What a request is to see: how many statements until the end, and which there were."""

    ends: str
    statements: list[str] = field(default_factory=list)

    def answered(self, statement: str) -> None:
        self.statements.append(" ".join(statement.split()))
        if self.ends == str(len(self.statements)):
            os._exit(KILLED)

    def at(self, place: str) -> None:
        if self.ends == place:
            os._exit(KILLED)


playing: ContextVar[Part | None] = ContextVar("playing", default=None)


def hooked(kind: type, name: str, text_of: Callable[..., str]) -> None:
    """Statements that go through this method of the driver are told to the part that is played."""
    sent: Callable[..., Awaitable[Any]] = getattr(kind, name)

    async def told(self: Any, *arguments: Any, **options: Any) -> Any:
        result = await sent(self, *arguments, **options)
        part = playing.get()
        if part is not None:
            part.answered(text_of(self, *arguments))
        return result

    setattr(kind, name, told)


def unheard(kind: type, name: str) -> None:
    """What this method sends is no step: whether it comes at all depends on who else is there."""
    sent: Callable[..., Awaitable[Any]] = getattr(kind, name)

    async def quietly(self: Any, *arguments: Any) -> Any:
        part = playing.get()
        playing.set(None)
        try:
            return await sent(self, *arguments)
        finally:
            playing.set(part)

    setattr(kind, name, quietly)


def hook_the_driver() -> None:
    """Every way in which the server's two pools ask Postgres, BEGIN and COMMIT included. Not whether a connection that lay
    idle still answers: where another request has that one, a new one is opened, which is not asked."""
    from asyncpg.prepared_stmt import PreparedStatement
    from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection

    unheard(AsyncAdapt_asyncpg_connection, "_async_ping")

    hooked(asyncpg.Connection, "_execute", lambda self, query, *rest: query)
    hooked(asyncpg.Connection, "_executemany", lambda self, query, *rest: query)
    hooked(PreparedStatement, "fetch", lambda self, *rest: self.get_query())
    hooked(asyncpg.transaction.Transaction, "start", lambda self: "BEGIN")
    hooked(asyncpg.transaction.Transaction, "commit", lambda self: "COMMIT")
    hooked(asyncpg.transaction.Transaction, "rollback", lambda self: "ROLLBACK")

"""The two ways to the database: SQLAlchemy for most statements, a bare asyncpg pool for the few hot ones, and what its faults mean."""

from __future__ import annotations

from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

SETTINGS = {"statement_timeout": "5000", "lock_timeout": "2000", "idle_in_transaction_session_timeout": "10000"}
CONNECT_SECONDS = 3.0
UNAVAILABLE: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    PoolTimeout,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.QueryCanceledError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DiskFullError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.ReadOnlySQLTransactionError,  # a replica that was asked before it is the primary
)

HotPool: TypeAlias = asyncpg.Pool  # the library leaves it untyped


def engine(database_url: str, pool_size: int) -> AsyncEngine:
    """For everything that is not hot. Waits at most 2 s for a connection; a dead one is replaced unseen."""
    return create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=2,
        pool_recycle=1800,
        pool_pre_ping=True,
        connect_args={"timeout": CONNECT_SECONDS, "server_settings": SETTINGS},
    )


async def pool(database_url: str, size: int) -> HotPool:
    """For the hot statements: each is whole by itself, so nothing needs a reset between two users of a connection."""
    opened: HotPool = await asyncpg.create_pool(
        plain_url(database_url),
        min_size=1,
        max_size=size,
        timeout=CONNECT_SECONDS,
        reset=_nothing,
        server_settings=SETTINGS,
    )
    return opened


async def _nothing(connection: Any) -> None:
    return None


def is_unavailable(fault: BaseException) -> bool:
    """True when the database is away or overloaded, so that 503 is the answer, and trying again makes sense."""
    if isinstance(fault, DBAPIError):
        # SQLAlchemy's asyncpg dialect wraps its own error, and that one the driver's.
        origin = fault.orig.__cause__ if fault.orig is not None else None
        return fault.connection_invalidated or isinstance(origin, UNAVAILABLE)
    return isinstance(fault, UNAVAILABLE)


def plain_url(database_url: str) -> str:
    """As libpq and asyncpg spell it."""
    parts = urlsplit(database_url)
    return urlunsplit(parts._replace(scheme="postgresql"))


def sqlalchemy_url(database_url: str) -> str:
    """As SQLAlchemy spells it: the driver in the scheme, and `ssl` for libpq's `sslmode`."""
    parts = urlsplit(database_url)
    query = urlencode([("ssl" if name == "sslmode" else name, value) for name, value in parse_qsl(parts.query)])
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=query))

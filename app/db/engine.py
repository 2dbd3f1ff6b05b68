"""The two ways to the database: SQLAlchemy for most statements, a bare asyncpg pool for the few hot ones, and what its faults mean."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.db.hot import HotPool as HotPool
from app.db.patience import CONNECT_SECONDS as CONNECT_SECONDS
from app.db.patience import watch

SETTINGS = {"statement_timeout": "5000", "lock_timeout": "2000", "idle_in_transaction_session_timeout": "10000"}
UNAVAILABLE: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the connection broke in the middle of a message
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.OperatorInterventionError,  # shutting down, starting up, statement_timeout
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,  # deadlock
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a replica that was asked before it is the primary
    asyncpg.FeatureNotSupportedError,  # the same, of an unlogged table
    asyncpg.InvalidAuthorizationSpecificationError,  # the password was changed under us
    asyncpg.InvalidCatalogNameError,  # the database is being restored
)


def engine(database_url: str, pool_size: int, *, pooled: bool = False) -> AsyncEngine:
    """For everything that is not hot. Waits at most 2 s for a connection; a dead one is replaced unseen.

    `pooled`: it is PgBouncer's address, in transaction mode, where one connection is another at each transaction: nothing is
    prepared under a name, and the settings are PgBouncer's to make.
    """
    unnamed = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str, "statement_cache_size": 0}
    opened = create_async_engine(
        "postgresql+asyncpg://",
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=2,
        pool_recycle=1800,
        connect_args={
            "dsn": plain_url(database_url),
            "timeout": CONNECT_SECONDS,
            **(unnamed if pooled else {"server_settings": SETTINGS}),
        },
    )
    watch(opened)
    return opened


async def pool(database_url: str, size: int, *, pooled: bool = False) -> HotPool:
    """For the hot statements. Raises what asyncpg does when the database is away."""
    options: dict[str, Any] = {"statement_cache_size": 0} if pooled else {"server_settings": SETTINGS}
    url = plain_url(database_url)
    opened = HotPool(lambda: asyncpg.connect(url, timeout=CONNECT_SECONDS, **options), size)
    await opened.open()
    return opened


def is_unavailable(fault: BaseException) -> bool:
    """True when the database is away or overloaded, so that 503 is the answer, and trying again makes sense."""
    if isinstance(fault, DBAPIError):
        # SQLAlchemy's asyncpg dialect wraps its own error, and that one the driver's.
        origin = fault.orig.__cause__ if fault.orig is not None else None
        return fault.connection_invalidated or isinstance(origin, UNAVAILABLE)
    return isinstance(fault, UNAVAILABLE)


def plain_url(database_url: str) -> str:
    """As libpq and asyncpg spell it."""
    return f"postgresql://{database_url.partition('://')[2]}"

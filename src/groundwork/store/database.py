"""The one door to PostgreSQL: a pool, short transactions, and reads that survive a lost connection."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.sql import Composed
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from groundwork.errors import StoreUnavailable
from groundwork.settings import DatabaseSettings

Row = tuple[Any, ...]
Query = LiteralString | Composed
Parameters = Sequence[object] | Mapping[str, object]

_SESSION = (
    "SELECT set_config('hnsw.ef_search', '120', false), set_config('hnsw.iterative_scan', 'relaxed_order', false), "
    "set_config('timezone', 'UTC', false)"
)
_LOST = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed)


class Database:
    """Connections to one PostgreSQL database."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self.url = url
        self._timeout = settings.timeout_seconds
        self._pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            url,
            min_size=min(settings.pool_min, settings.pool_max),
            max_size=settings.pool_max,
            timeout=settings.timeout_seconds,
            kwargs={"prepare_threshold": 2},
            configure=_configure,
            open=False,
        )

    @property
    def pool(self) -> AsyncConnectionPool[Any]:
        """The pool, for the job queue's own library."""
        return self._pool

    async def open(self) -> None:
        """Opens the pool. Raises StoreUnavailable when the database does not answer in time."""
        try:
            await self._pool.open(wait=True, timeout=self._timeout)
        except _LOST as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        """Closes every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """A connection inside one transaction, committed at the end, rolled back by an exception.

        Raises StoreUnavailable when the database cannot be reached or is lost on the way.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except _LOST as error:
            raise _unavailable(error) from error

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in autocommit mode, for what cannot run in a transaction and for listening."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _LOST as error:
            raise _unavailable(error) from error

    async def fetch(self, query: Query, parameters: Parameters = ()) -> list[Row]:
        """All rows of a read, in binary. A connection found dead is replaced and the read tried once more."""
        for attempt in (1, 2):
            try:
                async with self._pool.connection() as connection:
                    cursor = connection.cursor(binary=True)
                    await cursor.execute(query, parameters)
                    return await cursor.fetchall()
            except _LOST as error:
                if attempt == 2 or isinstance(error, PoolTimeout | PoolClosed):
                    raise _unavailable(error) from error
                await asyncio.sleep(0.05)
                await self._pool.check()
        raise AssertionError("unreachable")

    async def fetch_one(self, query: Query, parameters: Parameters = ()) -> Row | None:
        """The first row of a read, or None."""
        rows = await self.fetch(query, parameters)
        return rows[0] if rows else None

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the database answers."""
        await self.fetch("SELECT 1")


async def _configure(connection: AsyncConnection) -> None:
    await connection.set_autocommit(True)
    await register_vector_async(connection)
    await connection.execute(_SESSION)


def _unavailable(error: Exception) -> StoreUnavailable:
    if isinstance(error, psycopg.errors.DiskFull):
        return StoreUnavailable("The disk of the database is full. Make room; what was stored before is safe.")
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return StoreUnavailable(f"The database does not answer ({reason}). It is tried again with the next request.")

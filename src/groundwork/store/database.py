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

from groundwork.errors import Invalid, StoreUnavailable
from groundwork.settings import DatabaseSettings

Row = tuple[Any, ...]
Query = LiteralString | Composed
Parameters = Sequence[object] | Mapping[str, object]

_SESSION = (
    "SELECT set_config('hnsw.ef_search', '120', false), set_config('hnsw.iterative_scan', 'relaxed_order', false), "
    "set_config('timezone', 'UTC', false)"
)
_LOST = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed)
_LAST_WORD_SECONDS = 0.5
_UNFIT = (psycopg.DataError, UnicodeEncodeError)


class Database:
    """Connections to one PostgreSQL database."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self.url = url
        self._timeout = settings.timeout_seconds
        self._query_timeout = settings.query_timeout_seconds
        self._given_up: set[asyncio.Task[list[Row]]] = set()
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
        while self._given_up:
            await asyncio.wait(self._given_up, timeout=_LAST_WORD_SECONDS)
            for reading in self._given_up:
                reading.cancel()  # once more: this time the connection is closed, whatever the server does
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncConnection]:
        """A connection inside one transaction, committed at the end, rolled back by an exception.

        Raises StoreUnavailable when the database cannot be reached or is lost on the way, Invalid for a value that it
        cannot hold.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except _LOST as error:
            raise _unavailable(error) from error
        except _UNFIT as error:
            raise _unfit(error) from error

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in autocommit mode, for what cannot run in a transaction and for listening."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _LOST as error:
            raise _unavailable(error) from error
        except _UNFIT as error:
            raise _unfit(error) from error

    async def fetch(self, query: Query, parameters: Parameters = (), *, patient: bool = False) -> list[Row]:
        """All rows of a read, in binary. A connection found dead is replaced and the read tried once more.

        `patient`: the read may take as long as it takes. Raises StoreUnavailable when the database cannot be reached or
        does not answer in time, Invalid for a value that it cannot hold.
        """
        reading = asyncio.create_task(self._read(query, parameters))
        try:
            await asyncio.wait({reading}, timeout=None if patient else self._query_timeout)
        finally:
            if not reading.done():
                self._give_up(reading)
        if not reading.done():
            raise StoreUnavailable(
                f"The database did not answer within {self._query_timeout:g} s: it hangs, or has too much to do. It is tried "
                "again with the next request; GROUNDWORK_DATABASE__QUERY_TIMEOUT_SECONDS sets the limit."
            )
        try:
            return reading.result()
        except _UNFIT as error:
            raise _unfit(error) from error

    def _give_up(self, reading: asyncio.Task[list[Row]]) -> None:
        """Cancels a read and does not wait: a server that hangs does not take part in the cancelling.

        psycopg asks the server for a few seconds, then closes the connection; the pool makes a new one in its place.
        """
        self._given_up.add(reading)
        reading.add_done_callback(self._given_up.discard)
        reading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        reading.cancel()

    async def _read(self, query: Query, parameters: Parameters) -> list[Row]:
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

    async def fetch_one(self, query: Query, parameters: Parameters = (), *, patient: bool = False) -> Row | None:
        """The first row of a read, or None. Otherwise as `fetch`."""
        rows = await self.fetch(query, parameters, patient=patient)
        return rows[0] if rows else None

    async def size_bytes(self) -> int:
        """Room the database takes on its disk, in bytes."""
        row = await self.fetch_one("SELECT pg_database_size(current_database())")
        return row[0] if row else 0

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the database answers."""
        await self.fetch("SELECT 1")


async def _configure(connection: AsyncConnection) -> None:
    await connection.set_autocommit(True)
    await register_vector_async(connection)
    await connection.execute(_SESSION)


def _unfit(error: Exception) -> Invalid:
    if isinstance(error, UnicodeEncodeError) or "NUL" in str(error):
        return Invalid("A text holds a NUL character or half of a surrogate pair. Take it out and try again.")
    return Invalid(f"The database cannot hold a value: {_first_line(error)}. Change it and try again.")


def _unavailable(error: Exception) -> StoreUnavailable:
    if isinstance(error, psycopg.errors.DiskFull):
        return StoreUnavailable("The disk of the database is full. Make room; what was stored before is safe.")
    return StoreUnavailable(
        f"The database does not answer ({_first_line(error)}). It is tried again with the next request."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

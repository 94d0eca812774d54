"""Vector search inside PostgreSQL, on the table of record: pgvector, `halfvec`, one partial HNSW index per space."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from psycopg import AsyncConnection, sql

from groundwork.candidates import Filters, Hit
from groundwork.store.database import Database

_BUILD_LOCK = 0x686E7377  # any constant, the same for every Groundwork process
_INDEX_FROM_ROWS = 500
"""Below this a scan of the space is as quick as the index, and exact."""

_PAGE = 10_000

_SEARCH: LiteralString = """
SELECT e.chunk_id, 1 - (e.embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension})) AS score
FROM chunk_embeddings e
WHERE e.space_id = {space} AND e.collection_id = ANY(%(collections)s) {filters}
ORDER BY e.embedding::halfvec({dimension}) <=> %(vector)s::halfvec({dimension})
LIMIT %(limit)s
"""
_DOCUMENT_FILTER: LiteralString = """
AND e.document_id IN (
    SELECT d.id FROM documents d
    WHERE (%(sources)s::uuid[] IS NULL OR d.source_id = ANY(%(sources)s))
      AND (%(media_types)s::text[] IS NULL OR d.media_type = ANY(%(media_types)s))
      AND (%(tags)s::text[] IS NULL OR d.tags && %(tags)s)
      AND (%(since)s::timestamptz IS NULL OR d.live_since >= %(since)s)
      AND (%(until)s::timestamptz IS NULL OR d.live_since < %(until)s))
"""


class PgVectorIndex:
    """Searches `chunk_embeddings` by cosine distance."""

    derived = False

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prepared: set[int] = set()

    async def search(self, space: int, vector: NDArray[np.float32], filters: Filters, limit: int) -> list[Hit]:
        """The nearest chunks; pgvector's iterative scan goes on until the filters have let enough through."""
        statement = _statement(space, len(vector), filters)
        rows = await self._database.fetch(
            statement,
            {
                "vector": HalfVector(vector),
                "collections": list(filters.collections),
                "sources": list(filters.sources) if filters.sources is not None else None,
                "media_types": list(filters.media_types) if filters.media_types is not None else None,
                "tags": list(filters.tags) if filters.tags is not None else None,
                "since": filters.since,
                "until": filters.until,
                "limit": limit,
            },
        )
        hits = [Hit(chunk_id, float(score)) for chunk_id, score in rows]
        hits.sort(key=lambda hit: -hit.score)  # relaxed order: nearly sorted as it comes
        return hits

    async def prepare(self, space: int, dimension: int) -> bool:
        """Builds the HNSW index of `space` once it holds enough rows; later rows go into it as they are written."""
        if space in self._prepared or await self._rows(space) < _INDEX_FROM_ROWS:
            return True
        name = _index_name(space)
        async with self._building() as connection:
            if connection is None:
                return False
            if await self._left_invalid(name):
                await connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(name)))
            await connection.execute(
                sql.SQL(
                    "CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON chunk_embeddings "
                    "USING hnsw ((embedding::halfvec({})) halfvec_cosine_ops) WITH (m = 16, ef_construction = 64) "
                    "WHERE space_id = {}"
                ).format(sql.Identifier(name), sql.Literal(dimension), sql.Literal(space))
            )
        self._prepared.add(space)
        return True

    async def rebuild(self, space: int, dimension: int) -> None:
        """Builds the HNSW index of `space` anew beside the old one, which serves until the new one is there."""
        await self.prepare(space, dimension)
        async with self._building() as connection:
            if connection is not None and await self._index_exists(_index_name(space)):
                await connection.execute(
                    sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(_index_name(space)))
                )

    @asynccontextmanager
    async def _building(self) -> AsyncGenerator[AsyncConnection | None]:
        """A connection to build an index on; None when another process is at it.

        Tried, not waited for: whoever waited would hold a snapshot that the concurrent build waits for in turn.
        """
        async with self._database.connection() as connection:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_BUILD_LOCK,))
            if await cursor.fetchone() != (True,):
                yield None
                return
            try:
                yield connection
            finally:
                await connection.execute("SELECT pg_advisory_unlock(%s)", (_BUILD_LOCK,))

    async def _index_exists(self, name: str) -> bool:
        row = await self._database.fetch_one("SELECT to_regclass(%s) IS NOT NULL", (name,))
        return bool(row and row[0])

    async def count_document(self, document_id: UUID) -> int:
        """How many vectors of a document there are, of all spaces."""
        row = await self._database.fetch_one(
            "SELECT count(*) FROM chunk_embeddings WHERE document_id = %s", (document_id,)
        )
        return row[0] if row else 0

    async def ids(self, space: int) -> AsyncIterator[UUID]:
        """The chunks that have a vector of `space`, ascending."""
        last = UUID(int=0)
        while rows := await self._database.fetch(
            "SELECT chunk_id FROM chunk_embeddings WHERE space_id = %s AND chunk_id > %s ORDER BY chunk_id LIMIT %s",
            (space, last, _PAGE),
        ):
            for (last,) in rows:
                yield last

    async def forget(self, space: int) -> None:
        """Drops the HNSW index of `space`."""
        async with self._database.connection() as connection:
            await connection.execute(
                sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(_index_name(space)))
            )
        self._prepared.discard(space)

    async def ping(self) -> None:
        """Raises StoreUnavailable when PostgreSQL does not answer."""
        await self._database.ping()

    async def _rows(self, space: int) -> int:
        row = await self._database.fetch_one(
            "SELECT count(*) FROM (SELECT 1 FROM chunk_embeddings WHERE space_id = %s LIMIT %s) AS sample",
            (space, _INDEX_FROM_ROWS),
        )
        return row[0] if row else 0

    async def _left_invalid(self, name: str) -> bool:
        """Whether a concurrent build was cut off and left its index unusable."""
        row = await self._database.fetch_one(
            "SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (name,)
        )
        return bool(row and row[0])


def _index_name(space: int) -> str:
    return f"chunk_embeddings_hnsw_{space}"


def _statement(space: int, dimension: int, filters: Filters) -> sql.Composed:
    """Space and dimension are written into the statement: the planner matches a partial index by constants only."""
    return sql.SQL(_SEARCH).format(
        dimension=sql.Literal(dimension),
        space=sql.Literal(space),
        filters=sql.SQL(_DOCUMENT_FILTER if filters.narrows_documents else ""),
    )

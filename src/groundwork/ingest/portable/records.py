"""What a portable file is made of, read in one snapshot, and what taking one in adds to a publication."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from groundwork.clock import new_id
from groundwork.errors import NotFound
from groundwork.store.database import Database, Row

_CHOSEN: LiteralString = (
    "WITH chosen AS (SELECT d.*, row_number() OVER (ORDER BY d.id) - 1 AS place FROM documents d "
    "WHERE d.collection_id = %(collection)s AND (d.live_version IS NOT NULL OR d.status = 'failed')) "
)
DOCUMENTS: LiteralString = _CHOSEN + (
    "SELECT d.uri, d.title, d.media_type, CASE WHEN d.status = 'failed' THEN 'failed' ELSE 'ready' END AS status, d.error, "
    "encode(CASE WHEN d.status <> 'pending' THEN d.content_hash END, 'hex') AS content_hash, "
    "encode(v.sha256, 'hex') AS live, d.tags, d.metadata, d.created_at, d.live_since "
    "FROM chosen d LEFT JOIN document_versions v ON v.id = d.live_version ORDER BY d.place"
)
VERSIONS: LiteralString = _CHOSEN + (
    "SELECT d.place AS document, encode(v.sha256, 'hex') AS sha256, v.title, v.media_type, v.language, v.pages, v.markdown, "
    "v.created_at, v.text FROM chosen d JOIN document_versions v ON v.document_id = d.id ORDER BY d.place, v.id"
)
CHUNKS: LiteralString = _CHOSEN + (
    "SELECT d.place AS document, c.ordinal, c.start_char AS start, c.end_char AS end, c.page, c.heading_path, "
    "encode(c.embed_hash, 'hex') AS embed_hash, e.embedding FROM chosen d "
    "JOIN chunks c ON c.document_id = d.id AND c.version_id = d.live_version "
    "LEFT JOIN chunk_embeddings e ON e.chunk_id = c.id AND e.space_id = %(space)s ORDER BY d.place, c.ordinal"
)


@dataclass(frozen=True)
class Snapshot:
    """One moment of the record, for as long as it is read."""

    connection: AsyncConnection
    parameters: Mapping[str, object]

    async def rows(self, query: LiteralString, at_once: int) -> AsyncGenerator[dict[str, Any]]:
        """The rows of a query by column name, fetched `at_once` at a time."""
        async with self.connection.cursor(name="portable", binary=True) as cursor:
            cursor.itersize = at_once
            await cursor.execute(query, self.parameters)
            async for row in cursor:
                assert cursor.description is not None
                yield {column.name: value for column, value in zip(cursor.description, row, strict=True)}

    async def count(self) -> int:
        """How many documents there are to write."""
        cursor = await self.connection.execute(_CHOSEN + "SELECT count(*) FROM chosen", self.parameters)
        row = await cursor.fetchone()
        return row[0] if row else 0


@asynccontextmanager
async def snapshot(database: Database, collection_id: UUID, space: int) -> AsyncGenerator[Snapshot]:
    """The collection as it is this moment; what others write meanwhile is not seen."""
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Snapshot(connection, {"collection": collection_id, "space": space})


@dataclass(frozen=True)
class Held:
    """What a collection holds at a URI already."""

    status: str
    live: bytes | None
    tags: list[str]
    metadata: dict[str, Any]


async def collection(database: Database, name: str) -> tuple[UUID, str, bool]:
    """Id, description and privacy of a collection. Raises NotFound."""
    row = await database.fetch_one("SELECT id, description, private FROM collections WHERE name = %s", (name,))
    if row is None:
        raise NotFound(f"There is no collection named {name!r}. `groundwork collections list` lists those there are.")
    return row[0], row[1], row[2]


async def held(database: Database, collection_id: UUID, uris: Sequence[str]) -> dict[str, Held]:
    """By URI, what a collection holds of those already."""
    rows = await database.fetch(
        "SELECT d.uri, d.status, v.sha256, d.tags, d.metadata FROM documents d "
        "LEFT JOIN document_versions v ON v.id = d.live_version WHERE d.collection_id = %s AND d.uri = ANY(%s)",
        (collection_id, list(uris)),
    )
    return {uri: Held(*rest) for uri, *rest in rows}


async def document_ids(connection: AsyncConnection, collection_id: UUID, uris: Sequence[str]) -> dict[str, UUID]:
    """Ids by URI."""
    cursor = await connection.execute(
        "SELECT uri, id FROM documents WHERE collection_id = %s AND uri = ANY(%s)", (collection_id, list(uris))
    )
    return dict(await cursor.fetchall())


async def add_former_versions(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    """Adds texts that are not live: document, hash, text, title, media type, language, pages, markdown, creation time."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO document_versions (id, document_id, sha256, text, title, media_type, language, pages, markdown, "
            "created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (document_id, sha256) DO NOTHING",
            [(new_id(), *row) for row in rows],
        )


@dataclass(frozen=True)
class Around:
    """What a document carries besides its text."""

    status: str
    error: str | None
    tags: list[str]
    metadata: Mapping[str, str]
    created_at: datetime
    live_since: datetime


async def set_around(connection: AsyncConnection, documents: Mapping[UUID, Around]) -> None:
    """Gives documents the state, labels and dates they had."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE documents SET status = %s, error = %s, tags = %s, metadata = %s, "
            "created_at = least(created_at, %s), live_since = %s WHERE id = %s",
            [
                (
                    each.status,
                    each.error,
                    list(each.tags),
                    Jsonb(dict(each.metadata)),
                    each.created_at,
                    each.live_since,
                    key,
                )
                for key, each in documents.items()
            ],
        )

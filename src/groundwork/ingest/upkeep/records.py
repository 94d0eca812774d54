"""What upkeep reads and writes of documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from groundwork.store.database import Database


@dataclass(frozen=True)
class Labels:
    """What people wrote on a document."""

    collection_id: UUID
    tags: list[str]
    metadata: dict[str, Any]


async def labels(connection: AsyncConnection, document_id: UUID) -> Labels | None:
    """A document's labels, its row locked until the transaction ends; None when there is no such document."""
    cursor = await connection.execute(
        "SELECT collection_id, tags, metadata FROM documents WHERE id = %s FOR UPDATE", (document_id,)
    )
    row = await cursor.fetchone()
    return Labels(*row) if row else None


async def set_labels(
    connection: AsyncConnection, document_id: UUID, tags: Sequence[str], metadata: Mapping[str, Any]
) -> None:
    """Replaces a document's tags and metadata."""
    await connection.execute(
        "UPDATE documents SET tags = %s, metadata = %s, updated_at = now() WHERE id = %s",
        (list(tags), Jsonb(dict(metadata)), document_id),
    )


async def remains(database: Database, document_id: UUID) -> dict[str, int]:
    """How much the record still holds of a document: documents, versions, chunks, embeddings. All 0 once it is deleted."""
    row = await database.fetch_one(
        "SELECT (SELECT count(*) FROM documents WHERE id = %(id)s), "
        "(SELECT count(*) FROM document_versions WHERE document_id = %(id)s), "
        "(SELECT count(*) FROM chunks WHERE document_id = %(id)s), "
        "(SELECT count(*) FROM chunk_embeddings WHERE document_id = %(id)s)",
        {"id": document_id},
    )
    assert row is not None
    return dict(zip(("documents", "versions", "chunks", "embeddings"), row, strict=True))


@dataclass(frozen=True)
class LiveText:
    """A document's live text, and the state it is in."""

    document_id: UUID
    version_id: UUID
    collection_id: UUID
    uri: str
    status: str
    error: str | None
    content_hash: bytes | None
    live_since: datetime
    title: str
    media_type: str
    language: str | None
    pages: list[int]
    markdown: bool
    text: str


async def live_texts(database: Database, documents: Sequence[UUID]) -> list[LiveText]:
    """The live texts of documents."""
    rows = await database.fetch(
        "SELECT d.id, v.id, d.collection_id, d.uri, d.status, d.error, d.content_hash, d.live_since, v.title, v.media_type, "
        "v.language, v.pages, v.markdown, v.text FROM documents d JOIN document_versions v ON v.id = d.live_version "
        "WHERE d.id = ANY(%s) ORDER BY d.id",
        (list(documents),),
    )
    return [LiveText(*row) for row in rows]


async def lock_live(connection: AsyncConnection, texts: Sequence[LiveText]) -> set[UUID]:
    """Locks the rows of documents until the transaction ends; those whose live version is still the same."""
    cursor = await connection.execute(
        "SELECT id, live_version FROM documents WHERE id = ANY(%s) ORDER BY collection_id, uri FOR UPDATE",
        ([each.document_id for each in texts],),
    )
    live = dict(await cursor.fetchall())
    return {each.document_id for each in texts if live.get(each.document_id) == each.version_id}


async def restore_state(connection: AsyncConnection, texts: Sequence[LiveText]) -> None:
    """Gives documents back the state they were read in: publishing made them ready, and new."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE documents SET status = %s, error = %s, content_hash = %s, live_since = %s WHERE id = %s",
            [(each.status, each.error, each.content_hash, each.live_since, each.document_id) for each in texts],
        )

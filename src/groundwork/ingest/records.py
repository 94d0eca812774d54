"""What ingestion writes: documents with their versions, chunks and embeddings, in one transaction a publication."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from psycopg import AsyncConnection

from groundwork.clock import new_id
from groundwork.errors import Busy, Conflict
from groundwork.ingest.items import Failed, Known, Prepared
from groundwork.spaces import records as spaces
from groundwork.store.database import Database, Row


@dataclass(frozen=True)
class Destination:
    """Where documents go: a collection, and the source that offers them (None for single uploads)."""

    collection_id: UUID
    source_id: UUID | None


@dataclass(frozen=True)
class Publication:
    """A prepared document with its vectors."""

    document: Prepared
    space: int
    """The embedding space of the vectors."""
    vectors: NDArray[np.float32]
    """float32 of shape (chunks, dimension), unit length."""
    hashes: Sequence[bytes]
    """Of what was embedded, for each chunk."""
    embedded: int
    """How many of the vectors had to be computed; the others were known."""


async def ensure_collection(connection: AsyncConnection, name: str) -> UUID:
    """The collection of that name, made when there is none."""
    await connection.execute(
        "INSERT INTO collections (id, name) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING", (new_id(), name)
    )
    return await _one(connection, "SELECT id FROM collections WHERE name = %s", (name,))


async def touch_source(connection: AsyncConnection, source_id: UUID) -> None:
    """Notes that the source has just been synced."""
    await connection.execute("UPDATE sources SET last_synced_at = now() WHERE id = %s", (source_id,))


async def known_documents(database: Database, destination: Destination, uris: Sequence[str]) -> dict[str, Known]:
    """By URI, the documents of a source, and those of its collection that stand at one of `uris`."""
    rows = await database.fetch(
        "SELECT uri, id, content_hash, status, source_id IS NOT DISTINCT FROM %(source)s::uuid FROM documents "
        "WHERE collection_id = %(collection)s AND (source_id = %(source)s OR uri = ANY(%(uris)s))",
        {"collection": destination.collection_id, "source": destination.source_id, "uris": list(uris)},
    )
    return {uri: Known(*rest) for uri, *rest in rows}


class SpaceMoved(Busy):
    """Another embedding space went live since the vectors of a publication were computed."""


async def publish(connection: AsyncConnection, destination: Destination, publications: Sequence[Publication]) -> None:
    """Makes each document's new version visible, with its chunks and embeddings, all in the caller's transaction.

    Raises SpaceMoved when the vectors are of a space that is not the live one any more.
    """
    if not publications:
        return
    live = await spaces.hold_live(connection)
    if live is None:
        raise Conflict("The database has no live embedding space any more. Start Groundwork again.")
    if any(each.space != live for each in publications):
        raise SpaceMoved("Searches were switched to another embedding space meanwhile. Start this again.")
    ordered = sorted(publications, key=lambda each: each.document.uri)  # one order of row locks, so no deadlock
    documents = [await _document_row(connection, destination, each.document) for each in ordered]
    versions = [
        await _version_row(connection, row, each.document) for row, each in zip(documents, ordered, strict=True)
    ]
    await connection.execute("DELETE FROM chunks WHERE document_id = ANY(%s)", (documents,))
    await _copy_chunks(connection, destination, list(zip(documents, versions, ordered, strict=True)))
    await _go_live(connection, list(zip(documents, versions, ordered, strict=True)))
    await connection.execute(
        "DELETE FROM embedding_checkpoints WHERE space_id = %s AND embed_hash = ANY(%s)",
        (live, [digest for each in ordered for digest in each.hashes]),
    )
    await announce(connection, destination.collection_id, documents)


async def record_failure(connection: AsyncConnection, destination: Destination, failed: Failed) -> None:
    """Notes why a document's newest content could not be taken; a former version stays as it was."""
    await connection.execute(
        "INSERT INTO documents (id, collection_id, source_id, uri, title, status, content_hash, error) "
        "VALUES (%s, %s, %s, %s, %s, 'failed', %s, %s) ON CONFLICT (collection_id, uri) DO UPDATE SET "
        "status = 'failed', content_hash = excluded.content_hash, error = excluded.error, updated_at = now()",
        (
            new_id(),
            destination.collection_id,
            destination.source_id,
            failed.uri,
            failed.title,
            failed.content_hash,
            failed.reason,
        ),
    )


async def delete_documents(connection: AsyncConnection, collection_id: UUID, documents: Sequence[UUID]) -> int:
    """Removes documents with everything that hangs on them; how many there were."""
    await connection.execute(
        "UPDATE documents SET live_version = NULL WHERE collection_id = %s AND id = ANY(%s)",
        (collection_id, list(documents)),
    )
    cursor = await connection.execute(
        "DELETE FROM documents WHERE collection_id = %s AND id = ANY(%s) RETURNING id", (collection_id, list(documents))
    )
    gone = [row[0] for row in await cursor.fetchall()]
    if gone:
        await announce(connection, collection_id, gone)
    return len(gone)


async def _one(connection: AsyncConnection, query: LiteralString, parameters: Sequence[object]) -> UUID:
    cursor = await connection.execute(query, parameters)
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def _document_row(connection: AsyncConnection, destination: Destination, document: Prepared) -> UUID:
    return await _one(
        connection,
        "INSERT INTO documents (id, collection_id, source_id, uri, status) VALUES (%s, %s, %s, %s, 'pending') "
        "ON CONFLICT (collection_id, uri) DO UPDATE SET updated_at = now() RETURNING id",
        (new_id(), destination.collection_id, destination.source_id, document.uri),
    )


async def _version_row(connection: AsyncConnection, document_id: UUID, document: Prepared) -> UUID:
    return await _one(
        connection,
        "INSERT INTO document_versions (id, document_id, sha256, text, title, media_type, language, pages, markdown) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (document_id, sha256) DO UPDATE SET "
        "text = excluded.text, title = excluded.title, media_type = excluded.media_type, language = excluded.language, "
        "pages = excluded.pages, markdown = excluded.markdown RETURNING id",
        (
            new_id(),
            document_id,
            document.version,
            document.text,
            document.title,
            document.media_type,
            document.language,
            list(document.pages),
            document.markdown,
        ),
    )


async def _copy_chunks(
    connection: AsyncConnection,
    destination: Destination,
    rows: Sequence[tuple[UUID, UUID, Publication]],
) -> None:
    ids = [[new_id() for _ in publication.document.chunks] for _, _, publication in rows]
    cursor = connection.cursor()
    async with cursor.copy(
        "COPY chunks (id, version_id, document_id, collection_id, ordinal, start_char, end_char, page, heading_path, "
        "text, embed_hash) FROM STDIN (FORMAT binary)"
    ) as copy:
        copy.set_types(["uuid", "uuid", "uuid", "uuid", "int4", "int4", "int4", "int4", "text[]", "text", "bytea"])
        for chunk_ids, (document_id, version_id, publication) in zip(ids, rows, strict=True):
            for chunk_id, chunk, digest in zip(chunk_ids, publication.document.chunks, publication.hashes, strict=True):
                place = (chunk.ordinal, chunk.start, chunk.end, chunk.page, list(chunk.heading_path))
                owner = (version_id, document_id, destination.collection_id)
                await copy.write_row((chunk_id, *owner, *place, chunk.text, digest))
    async with cursor.copy(
        "COPY chunk_embeddings (chunk_id, space_id, collection_id, document_id, embedding) FROM STDIN (FORMAT binary)"
    ) as copy:
        copy.set_types(["uuid", "int4", "uuid", "uuid", "halfvec"])
        for chunk_ids, (document_id, _, publication) in zip(ids, rows, strict=True):
            for chunk_id, vector in zip(chunk_ids, publication.vectors, strict=True):
                place = (publication.space, destination.collection_id, document_id)
                await copy.write_row((chunk_id, *place, HalfVector(vector)))


async def _go_live(connection: AsyncConnection, rows: Sequence[tuple[UUID, UUID, Publication]]) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE documents SET live_version = %s, status = 'ready', error = NULL, title = %s, media_type = %s, "
            "content_hash = %s, updated_at = now(), live_since = now() WHERE id = %s",
            [
                (version_id, each.document.title, each.document.media_type, each.document.content_hash, document_id)
                for document_id, version_id, each in rows
            ],
        )


async def announce(connection: AsyncConnection, collection_id: UUID, documents: Sequence[UUID]) -> None:
    """Tells followers and caches, from within the transaction that changed what is visible."""
    await connection.execute(
        "INSERT INTO changes (collection_id, document_id) SELECT %s, unnest(%s::uuid[])", (collection_id, documents)
    )
    await grow(connection, collection_id)
    await connection.execute("NOTIFY groundwork_changes")


async def grow(connection: AsyncConnection, collection_id: UUID) -> None:
    """Makes the generation of a collection grow, for a change that people see and no index has to follow."""
    await connection.execute("UPDATE collections SET generation = generation + 1 WHERE id = %s", (collection_id,))


async def note_pending(
    connection: AsyncConnection, collection_id: UUID, uri: str, title: str, content_hash: bytes
) -> UUID:
    """Notes an upload that waits to be taken in; a former version stays visible until then."""
    return await _one(
        connection,
        "INSERT INTO documents (id, collection_id, uri, title, status, content_hash) "
        "VALUES (%s, %s, %s, %s, 'pending', %s) ON CONFLICT (collection_id, uri) DO UPDATE SET "
        "status = 'pending', content_hash = excluded.content_hash, error = NULL, updated_at = now() RETURNING id",
        (new_id(), collection_id, uri, title, content_hash),
    )


async def pending_upload(database: Database, document_id: UUID) -> Row | None:
    """Collection, URI and content hash of an upload; None when the document is gone."""
    return await database.fetch_one(
        "SELECT collection_id, uri, content_hash FROM documents WHERE id = %s", (document_id,)
    )


async def create_collection(connection: AsyncConnection, name: str, description: str, private: bool = False) -> bool:
    """Makes a collection; False when the name is taken."""
    cursor = await connection.execute(
        "INSERT INTO collections (id, name, description, private) VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (new_id(), name, description, private),
    )
    return cursor.rowcount == 1


async def set_private(connection: AsyncConnection, name: str, private: bool) -> None:
    """Says whether a collection's passages go to private models only; a change makes its generation grow."""
    await connection.execute(
        "UPDATE collections SET private = %(private)s, generation = generation + 1 "
        "WHERE name = %(name)s AND private <> %(private)s",
        {"name": name, "private": private},
    )


async def delete_collection(connection: AsyncConnection, name: str) -> None:
    """Removes a collection with all its documents and sources."""
    collection_id = await _one(connection, "SELECT id FROM collections WHERE name = %s FOR UPDATE", (name,))
    cursor = await connection.execute("SELECT id FROM documents WHERE collection_id = %s", (collection_id,))
    await delete_documents(connection, collection_id, [row[0] for row in await cursor.fetchall()])
    await connection.execute("DELETE FROM collections WHERE id = %s", (collection_id,))


async def delete_document(connection: AsyncConnection, document_id: UUID) -> bytes | None:
    """Removes one document with everything that hangs on it; the hash of its original bytes."""
    cursor = await connection.execute(
        "SELECT collection_id, content_hash FROM documents WHERE id = %s FOR UPDATE", (document_id,)
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    await delete_documents(connection, row[0], [document_id])
    return row[1]


async def lock_original(connection: AsyncConnection, digest: bytes) -> None:
    """Until the transaction ends, nobody else brings or drops the original of that hash."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(encode(%s, 'hex'), 0))", (digest,))


async def is_original_wanted(connection: AsyncConnection, digest: bytes) -> bool:
    """Whether an upload has that content."""
    cursor = await connection.execute(
        "SELECT FROM documents WHERE content_hash = %s AND starts_with(uri, 'upload:') LIMIT 1", (digest,)
    )
    return cursor.rowcount > 0


async def content_hash_at(connection: AsyncConnection, collection_id: UUID, uri: str) -> bytes | None:
    """Hash of the original a document of that URI has now."""
    cursor = await connection.execute(
        "SELECT content_hash FROM documents WHERE collection_id = %s AND uri = %s", (collection_id, uri)
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def document_at(connection: AsyncConnection, collection_id: UUID, uri: str) -> UUID | None:
    """The document of a collection at a URI that has no upload waiting, or None."""
    cursor = await connection.execute(
        "SELECT id FROM documents WHERE collection_id = %s AND uri = %s AND status <> 'pending' FOR UPDATE",
        (collection_id, uri),
    )
    row = await cursor.fetchone()
    return row[0] if row else None

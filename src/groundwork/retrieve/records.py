"""What retrieval reads: passages by chunk id, the scope by names, documents, collections and the text of versions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from groundwork.candidates import Filters
from groundwork.store.database import Database, Row


@dataclass(frozen=True)
class ChunkRow:
    """A chunk as the record holds it. Offsets count characters of the version's text."""

    chunk_id: UUID
    document_id: UUID
    version: bytes
    title: str
    uri: str
    collection: str
    media_type: str
    page: int | None
    heading_path: list[str]
    start: int
    end: int
    text: str
    collection_id: UUID
    private: bool
    """Its collection's passages go to language models of tier 0 only."""


async def chunks(database: Database, ids: Sequence[UUID], filters: Filters) -> dict[UUID, ChunkRow]:
    """Those chunks by id, as far as they are visible in scope this moment: the record has the last word."""
    rows = await database.fetch(
        "SELECT c.id, c.document_id, v.sha256, v.title, d.uri, k.name, v.media_type, c.page, c.heading_path, "
        "c.start_char, c.end_char, c.text, k.id, k.private FROM chunks c "
        "JOIN documents d ON d.id = c.document_id AND d.live_version = c.version_id "
        "JOIN document_versions v ON v.id = c.version_id JOIN collections k ON k.id = d.collection_id "
        "WHERE c.id = ANY(%s) AND d.collection_id = ANY(%s)",
        (list(ids), list(filters.collections)),
    )
    return {row[0]: ChunkRow(*row) for row in rows}


async def quotes(database: Database, spans: Sequence[tuple[UUID, bytes, int, int]]) -> list[str | None]:
    """For each (document, version hash, start, end) the stored text there; None where nothing is stored."""
    found = await database.fetch(
        "SELECT s.place, substring(v.text FROM s.start + 1 FOR s.finish - s.start) "
        "FROM unnest(%s::uuid[], %s::bytea[], %s::int[], %s::int[]) "
        "WITH ORDINALITY AS s(document_id, sha256, start, finish, place) "
        "JOIN document_versions v ON v.document_id = s.document_id AND v.sha256 = s.sha256",
        tuple(list(column) for column in zip(*spans, strict=True)) if spans else ([], [], [], []),
    )
    by_place = dict(found)
    return [by_place.get(place) for place in range(1, len(spans) + 1)]


async def source_ids(database: Database, names: Sequence[str], scope: Sequence[UUID]) -> dict[str, list[UUID]]:
    """Sources of the collections in scope by name; a name may stand in several of them."""
    rows = await database.fetch(
        "SELECT name, array_agg(id) FROM sources WHERE name = ANY(%s) AND collection_id = ANY(%s) GROUP BY name",
        (list(names), list(scope)),
    )
    return dict(rows)


_COLLECTION = (
    "SELECT k.name, k.description, "
    "(SELECT count(*) FROM documents d WHERE d.collection_id = k.id), "
    "(SELECT count(*) FROM chunks c WHERE c.collection_id = k.id), k.generation, k.created_at, k.private FROM collections k "
)


async def collections(database: Database, scope: Sequence[UUID], after: str, limit: int) -> list[Row]:
    """Name, description, documents, chunks, generation, creation time and privacy of collections in scope after a name."""
    return await database.fetch(
        _COLLECTION + "WHERE k.id = ANY(%s) AND k.name > %s ORDER BY k.name LIMIT %s", (list(scope), after, limit)
    )


async def generations(database: Database, collection_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The generation of each of those collections that are there: it grows with every visible change.

    Read it before the search whose answer is to be kept under it: what changes in between then has another key.
    """
    rows = await database.fetch("SELECT id, generation FROM collections WHERE id = ANY(%s)", (list(collection_ids),))
    return dict(rows)


_DOCUMENT = (
    "SELECT d.id, d.uri, d.title, k.name, d.media_type, d.status, v.sha256, coalesce(cardinality(v.pages), 0), "
    "(SELECT count(*) FROM chunks c WHERE c.document_id = d.id), d.error, d.created_at, d.updated_at, "
    "d.tags, d.metadata, CASE WHEN d.live_version IS NOT NULL THEN d.live_since END "
    "FROM documents d JOIN collections k ON k.id = d.collection_id "
    "LEFT JOIN document_versions v ON v.id = d.live_version "
)


async def document(database: Database, scope: Sequence[UUID], document_id: UUID) -> Row | None:
    """One document's row, or None when it is not in scope."""
    return await database.fetch_one(
        _DOCUMENT + "WHERE d.id = %s AND d.collection_id = ANY(%s)", (document_id, list(scope))
    )


async def documents(database: Database, filters: Filters, status: str | None, after: UUID, limit: int) -> list[Row]:
    """Rows of the documents that `filters` admit after an id, in the order of their ids."""
    return await database.fetch(
        _DOCUMENT + "WHERE d.collection_id = ANY(%(scope)s) AND (%(status)s::text IS NULL OR d.status = %(status)s) "
        "AND (%(tags)s::text[] IS NULL OR d.tags && %(tags)s) AND d.id > %(after)s ORDER BY d.id LIMIT %(limit)s",
        {
            "scope": list(filters.collections),
            "status": status,
            "tags": list(filters.tags) if filters.tags is not None else None,
            "after": after,
            "limit": limit,
        },
    )


async def versions(database: Database, scope: Sequence[UUID], document_id: UUID) -> list[Row] | None:
    """Hash, title, media type, characters, creation time and liveness of a document's versions, newest first.

    None when it is not in scope.
    """
    rows = await database.fetch(
        "SELECT v.sha256, v.title, v.media_type, length(v.text), v.created_at, v.id = d.live_version "
        "FROM documents d LEFT JOIN document_versions v ON v.document_id = d.id "
        "WHERE d.id = %s AND d.collection_id = ANY(%s) ORDER BY v.id DESC",
        (document_id, list(scope)),
    )
    return [row for row in rows if row[0] is not None] if rows else None


async def version_text(
    database: Database, scope: Sequence[UUID], document_id: UUID, version: bytes | None
) -> tuple[str, bytes] | None:
    """The text and hash of a document's version in scope: the one named, else the live one; None without one."""
    row = await database.fetch_one(
        "SELECT v.text, v.sha256 FROM document_versions v JOIN documents d ON d.id = v.document_id "
        "WHERE d.id = %s AND d.collection_id = ANY(%s) "
        "AND CASE WHEN %s::bytea IS NULL THEN v.id = d.live_version ELSE v.sha256 = %s END",
        (document_id, list(scope), version, version),
    )
    return (row[0], row[1]) if row else None


async def any_private(database: Database, ids: Collection[UUID]) -> bool:
    """Whether passages of one of these collections go to private models only, or one is not there any more."""
    if not ids:
        return False
    row = await database.fetch_one(
        "SELECT count(*) FILTER (WHERE NOT private) FROM collections WHERE id = ANY(%s)", (list(ids),)
    )
    return row is None or row[0] < len(ids)


async def counts(database: Database) -> dict[str, int]:
    """How many collections, texts of documents, and passages there are."""
    row = await database.fetch_one(
        "SELECT (SELECT count(*) FROM collections), (SELECT count(*) FROM document_versions), (SELECT count(*) FROM chunks)"
    )
    return dict(zip(("collections", "versions", "chunks"), row or (0, 0, 0), strict=True))


async def documents_by_status(database: Database) -> dict[str, int]:
    """How many documents are pending, ready and failed."""
    rows = await database.fetch("SELECT status, count(*) FROM documents GROUP BY status")
    return {"pending": 0, "ready": 0, "failed": 0, **dict(rows)}

"""The truths about the record as SQL that finds what breaks them, and the SQL of mending."""

from collections.abc import Sequence
from typing import LiteralString
from uuid import UUID

from psycopg import AsyncConnection

from groundwork.budgets.records import COUNTED
from groundwork.store.database import Database, Row

_SUMS: LiteralString = "SELECT p.account || ' ' || p.period || ' ' || p.begins AS id, NULL::uuid AS document_id, "
_COMPARED: LiteralString = (
    "(SELECT account, period, begins, coalesce(k.spent_usd, 0) AS spent, coalesce(k.reserved_usd, 0) AS reserved, "
    "coalesce(c.spent_usd, 0) AS counted_spent, coalesce(c.reserved_usd, 0) AS counted_reserved "
    "FROM budget_periods k FULL JOIN (" + COUNTED + ") AS c USING (account, period, begins)) AS p"
)

OFFENDING: dict[str, LiteralString] = {
    "rows_without_owner": """
SELECT 'version ' || v.id AS id, v.document_id, '' AS what FROM document_versions v
WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = v.document_id)
UNION ALL SELECT 'passage ' || c.id, c.document_id, '' FROM chunks c
WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = c.document_id)
   OR NOT EXISTS (SELECT FROM document_versions v WHERE v.id = c.version_id)
UNION ALL SELECT 'vector ' || e.chunk_id, e.document_id, '' FROM chunk_embeddings e
WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.id = e.chunk_id)
   OR NOT EXISTS (SELECT FROM embedding_spaces s WHERE s.id = e.space_id)
""",
    "ready_without_text": """
SELECT d.id::text AS id, d.id AS document_id, d.uri AS what FROM documents d
LEFT JOIN document_versions v ON v.id = d.live_version AND v.document_id = d.id
WHERE (d.status = 'ready' OR d.live_version IS NOT NULL) AND v.id IS NULL
""",
    "altered_text": """
SELECT v.id::text AS id, d.id AS document_id, d.uri AS what FROM document_versions v JOIN documents d ON d.id = v.document_id
WHERE sha256(convert_to(v.text, 'UTF8')) <> v.sha256
""",
    "passages_of_former_text": """
SELECT c.id::text AS id, d.id AS document_id, d.uri AS what FROM chunks c JOIN documents d ON d.id = c.document_id
WHERE c.version_id IS DISTINCT FROM d.live_version
""",
    "passages_without_vector": """
SELECT c.id::text AS id, d.id AS document_id, d.uri AS what FROM chunks c JOIN documents d ON d.id = c.document_id
WHERE NOT EXISTS (SELECT FROM chunk_embeddings e JOIN embedding_spaces s ON s.id = e.space_id AND s.live
                  WHERE e.chunk_id = c.id)
""",
    "access_drift": """
SELECT DISTINCT c.id::text AS id, d.id AS document_id, d.uri AS what FROM chunks c JOIN documents d ON d.id = c.document_id
LEFT JOIN chunk_embeddings e ON e.chunk_id = c.id
WHERE c.collection_id <> d.collection_id OR e.collection_id <> d.collection_id OR e.document_id <> d.id
""",
    "stale_checkpoints": """
SELECT space_id || ' ' || encode(embed_hash, 'hex') AS id, NULL::uuid AS document_id, '' AS what FROM embedding_checkpoints
WHERE created_at < now() - interval '1 day'
""",
    "uploads_nobody_takes": """
SELECT d.id::text AS id, d.id AS document_id, d.uri AS what FROM documents d
WHERE d.status = 'pending' AND d.updated_at < now() - interval '1 minute' AND NOT EXISTS (
    SELECT FROM jobs j JOIN procrastinate_jobs q ON q.id = j.queue_id
    WHERE j.kind = 'upload' AND j.arguments ->> 'document_id' = d.id::text AND q.status IN ('todo', 'doing'))
""",
    "spent_not_in_ledger": _SUMS
    + "'$' || p.spent || ', $' || p.counted_spent || ' in the ledger' AS what FROM "
    + _COMPARED
    + " WHERE p.spent <> p.counted_spent",
    "reserved_for_nothing": _SUMS
    + "'$' || p.reserved || ', $' || p.counted_reserved || ' in open requests' AS what FROM "
    + _COMPARED
    + " WHERE p.reserved <> p.counted_reserved",
}
"""By name of the truth: what breaks it, as an id, the document it belongs to, and what it is called."""


async def offending(database: Database, name: str, limit: int) -> tuple[int, list[str]]:
    """How much breaks a truth, and the first of it in words."""
    rows = await database.fetch(
        "SELECT id, what, count(*) OVER () FROM (" + OFFENDING[name] + ") AS offending ORDER BY id LIMIT %s",
        (limit,),
        patient=True,
    )
    return (rows[0][2] if rows else 0), [f"{what} ({key})" if what else key for key, what, _ in rows]


async def offending_documents(database: Database, names: Sequence[str]) -> set[UUID]:
    """The documents of what breaks those truths."""
    found: set[UUID] = set()
    for name in names:
        rows = await database.fetch(
            "SELECT DISTINCT document_id FROM (" + OFFENDING[name] + ") AS offending", patient=True
        )
        found.update(row[0] for row in rows)
    return found


async def sound(database: Database, documents: Sequence[UUID]) -> list[UUID]:
    """Those of the documents whose live text is the one that was stored."""
    rows = await database.fetch(
        "SELECT d.id FROM documents d JOIN document_versions v ON v.id = d.live_version AND v.document_id = d.id "
        "WHERE d.id = ANY(%s) AND sha256(convert_to(v.text, 'UTF8')) = v.sha256 ORDER BY d.id",
        (list(documents),),
    )
    return [row[0] for row in rows]


async def uploads_nobody_takes(database: Database) -> list[UUID]:
    """Uploads that wait and have no job."""
    rows = await database.fetch(
        "SELECT document_id FROM (" + OFFENDING["uploads_nobody_takes"] + ") AS offending", patient=True
    )
    return [row[0] for row in rows]


async def live_documents(database: Database, after: UUID, limit: int) -> list[UUID]:
    """Documents with a live version after an id, in the order of their ids."""
    rows = await database.fetch(
        "SELECT id FROM documents WHERE id > %s AND live_version IS NOT NULL ORDER BY id LIMIT %s", (after, limit)
    )
    return [row[0] for row in rows]


async def spans(database: Database, documents: Sequence[UUID]) -> list[Row]:
    """URI, id and live text of each of those documents, with the offsets and texts of its passages in order."""
    return await database.fetch(
        "SELECT d.uri, d.id, v.text, coalesce(c.starts, '{}'), coalesce(c.ends, '{}'), coalesce(c.texts, '{}') "
        "FROM documents d JOIN document_versions v ON v.id = d.live_version LEFT JOIN LATERAL (SELECT "
        "array_agg(start_char ORDER BY start_char) AS starts, array_agg(end_char ORDER BY start_char) AS ends, "
        "array_agg(text ORDER BY start_char) AS texts FROM chunks WHERE version_id = v.id AND document_id = d.id) AS c ON true "
        "WHERE d.id = ANY(%s)",
        (list(documents),),
    )


async def chunk_ids(database: Database, after: UUID, limit: int) -> list[UUID]:
    """Passages that searches may show after an id, in the order of their ids."""
    rows = await database.fetch(
        "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id AND d.live_version = c.version_id "
        "WHERE c.id > %s ORDER BY c.id LIMIT %s",
        (after, limit),
    )
    return [row[0] for row in rows]


async def documents_of(database: Database, chunks: Sequence[UUID]) -> list[tuple[UUID, UUID]]:
    """Collections and documents of passages."""
    rows = await database.fetch(
        "SELECT DISTINCT d.collection_id, d.id FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.id = ANY(%s)",
        (list(chunks),),
    )
    return [(row[0], row[1]) for row in rows]


async def originals_of_uploads(database: Database, after: UUID, limit: int) -> list[Row]:
    """Id, URI and content hash of uploads that are ready, after an id."""
    return await database.fetch(
        "SELECT id, uri, content_hash FROM documents WHERE starts_with(uri, 'upload:') AND status = 'ready' "
        "AND content_hash IS NOT NULL AND id > %s ORDER BY id LIMIT %s",
        (after, limit),
    )


_DELETE_OWNERLESS: list[LiteralString] = """
DELETE FROM chunk_embeddings e WHERE NOT EXISTS (SELECT FROM chunks c WHERE c.id = e.chunk_id)
   OR NOT EXISTS (SELECT FROM embedding_spaces s WHERE s.id = e.space_id);
DELETE FROM chunks c WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = c.document_id)
   OR NOT EXISTS (SELECT FROM document_versions v WHERE v.id = c.version_id);
DELETE FROM document_versions v WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = v.document_id)
""".split(";")


async def delete_ownerless(connection: AsyncConnection) -> int:
    """Removes vectors, passages and texts that hang on nothing; how many."""
    removed = 0
    for statement in _DELETE_OWNERLESS:
        removed += (await connection.execute(statement)).rowcount
    return removed


async def delete_stale_checkpoints(connection: AsyncConnection) -> int:
    """Removes vectors that were computed and never published; how many."""
    cursor = await connection.execute("DELETE FROM embedding_checkpoints WHERE created_at < now() - interval '1 day'")
    return cursor.rowcount


async def delete_altered_former_texts(connection: AsyncConnection) -> int:
    """Removes former versions whose text is not what was stored: no citation of them is true; how many."""
    cursor = await connection.execute(
        "DELETE FROM document_versions v USING documents d WHERE d.id = v.document_id "
        "AND d.live_version IS DISTINCT FROM v.id AND sha256(convert_to(v.text, 'UTF8')) <> v.sha256"
    )
    return cursor.rowcount


async def fall_back(connection: AsyncConnection) -> list[tuple[UUID, UUID]]:
    """Gives documents without their live text the newest sound version they have, else none.

    Collection and id of those that are left with none.

    Their passages are not right yet.
    """
    await connection.execute(
        "UPDATE documents d SET live_version = (SELECT v.id FROM document_versions v WHERE v.document_id = d.id "
        "AND sha256(convert_to(v.text, 'UTF8')) = v.sha256 ORDER BY v.id DESC LIMIT 1) "
        "WHERE (d.status = 'ready' OR d.live_version IS NOT NULL) AND NOT EXISTS "
        "(SELECT FROM document_versions v WHERE v.id = d.live_version AND v.document_id = d.id)"
    )
    cursor = await connection.execute(
        "UPDATE documents SET status = 'failed', error = %s WHERE status = 'ready' AND live_version IS NULL "
        "RETURNING collection_id, id",
        ("Its text was lost. Sync its source or upload it again.",),
    )
    lost = [(row[0], row[1]) for row in await cursor.fetchall()]
    await connection.execute("DELETE FROM chunks WHERE document_id = ANY(%s)", ([each for _, each in lost],))
    return lost


async def to_read_again(database: Database) -> list[tuple[UUID, UUID | None, bool]]:
    """Documents whose live text is damaged or lost: their id, their source, and whether they were uploaded."""
    rows = await database.fetch(
        "SELECT d.id, d.source_id, starts_with(d.uri, 'upload:') FROM documents d "
        "LEFT JOIN document_versions v ON v.id = d.live_version WHERE d.status <> 'pending' "
        "AND (sha256(convert_to(v.text, 'UTF8')) <> v.sha256 "
        "OR (d.live_version IS NULL AND d.error LIKE 'Its text was lost.%%'))",
        patient=True,
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def forget_content(connection: AsyncConnection, documents: Sequence[UUID]) -> None:
    """Makes the next sync of these documents' sources read them, changed or not."""
    await connection.execute("UPDATE documents SET content_hash = NULL WHERE id = ANY(%s)", (list(documents),))

"""What is known of sources: their kind and configuration, their schedule, and when they were last in step."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from groundwork.clock import new_id
from groundwork.store.database import Database, Row


@dataclass(frozen=True)
class SourceRow:
    """A source as the record holds it."""

    id: UUID
    name: str
    collection_id: UUID
    collection: str
    kind: str
    location: str
    config: dict[str, Any]
    schedule: str | None
    next_sync_at: datetime | None
    last_synced_at: datetime | None
    created_at: datetime
    documents: int
    failed: int


_SOURCE: LiteralString = (
    "SELECT s.id, s.name, s.collection_id, k.name, s.kind, s.location, s.config, s.schedule, s.next_sync_at, "
    "s.last_synced_at, s.created_at, (SELECT count(*) FROM documents d WHERE d.source_id = s.id), "
    "(SELECT count(*) FROM documents d WHERE d.source_id = s.id AND d.status = 'failed') "
    "FROM sources s JOIN collections k ON k.id = s.collection_id "
)


async def insert(
    connection: AsyncConnection,
    collection_id: UUID,
    name: str,
    kind: str,
    location: str,
    config: Mapping[str, Any],
) -> UUID | None:
    """A new source; None when the collection has one of that name."""
    cursor = await connection.execute(
        "INSERT INTO sources (id, collection_id, name, kind, location, config) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (collection_id, name) DO NOTHING RETURNING id",
        (new_id(), collection_id, name, kind, location, Jsonb(dict(config))),
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def find(database: Database, name: str, collection: str | None) -> list[SourceRow]:
    """The sources of that name, in one collection or in all."""
    rows = await database.fetch(
        _SOURCE + "WHERE s.name = %s AND (%s::text IS NULL OR k.name = %s) ORDER BY k.name",
        (name, collection, collection),
    )
    return _sources(rows)


async def by_id(database: Database, source_id: UUID) -> SourceRow | None:
    """One source, or None."""
    rows = _sources(await database.fetch(_SOURCE + "WHERE s.id = %s", (source_id,)))
    return rows[0] if rows else None


async def after(
    database: Database, last: UUID, limit: int | None, within: Collection[str] | None = None
) -> list[SourceRow]:
    """Sources in the order they were added, after an id, of all collections or of those `within`, but no hidden ones."""
    rows = await database.fetch(
        _SOURCE + "WHERE s.id > %(last)s AND NOT starts_with(k.name, '.') "
        "AND (%(within)s::text[] IS NULL OR k.name = ANY(%(within)s)) ORDER BY s.id LIMIT %(limit)s",
        {"last": last, "within": list(within) if within is not None else None, "limit": limit},
    )
    return _sources(rows)


async def set_schedule(
    connection: AsyncConnection, source_id: UUID, schedule: str | None, next_sync_at: datetime | None
) -> None:
    """When the source is synced by itself; None: only when asked."""
    await connection.execute(
        "UPDATE sources SET schedule = %s, next_sync_at = %s WHERE id = %s", (schedule, next_sync_at, source_id)
    )


async def due(connection: AsyncConnection, now: datetime) -> list[Row]:
    """Id, name, schedule and collection of sources whose time has come, held against other workers until the transaction ends."""
    cursor = await connection.execute(
        "SELECT s.id, s.name, s.schedule, k.name FROM sources s JOIN collections k ON k.id = s.collection_id "
        "WHERE s.next_sync_at <= %s ORDER BY s.next_sync_at FOR UPDATE OF s SKIP LOCKED",
        (now,),
    )
    return await cursor.fetchall()


async def has_open_sync(connection: AsyncConnection, source_id: UUID) -> bool:
    """Whether a sync of the source waits already; one that waits covers whatever changed before it runs."""
    cursor = await connection.execute(
        "SELECT FROM jobs j JOIN procrastinate_jobs q ON q.id = j.queue_id "
        "WHERE j.kind = 'sync' AND j.arguments->>'source_id' = %s AND q.status = 'todo'",
        (str(source_id),),
    )
    return await cursor.fetchone() is not None


async def document_ids(connection: AsyncConnection, source_id: UUID) -> list[UUID]:
    """Its documents."""
    cursor = await connection.execute("SELECT id FROM documents WHERE source_id = %s", (source_id,))
    return [row[0] for row in await cursor.fetchall()]


async def delete(connection: AsyncConnection, source_id: UUID) -> None:
    """Forgets a source, whose documents have been removed before."""
    await connection.execute("DELETE FROM sources WHERE id = %s", (source_id,))


def _sources(rows: Sequence[Row]) -> list[SourceRow]:
    return [SourceRow(*row) for row in rows]

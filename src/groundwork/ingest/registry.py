"""Named sources: added, listed, queued to be synced, synced, removed."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from croniter import croniter

from groundwork.clock import utc_now
from groundwork.errors import Conflict, Invalid, NotFound
from groundwork.ingest import records, sync
from groundwork.ingest.names import check_collection_name, check_source_name
from groundwork.ingest.pipeline import Pipeline
from groundwork.ingest.records import Destination
from groundwork.ingest.sources import open_source, parse_location
from groundwork.ingest.sources import records as source_records
from groundwork.ingest.sources.records import SourceRow
from groundwork.settings import Settings
from groundwork.store.database import Database
from groundwork.store.jobs import BULK, Jobs, Order

Report = Callable[[Mapping[str, Any]], None]
"""Takes the progress of a running job."""


@dataclass(frozen=True)
class NewSource:
    """A source to be added. `options` are those of its kind, such as `branch` or `include`."""

    name: str
    location: str
    collection: str = "default"
    schedule: str | None = None
    options: Mapping[str, Any] | None = None


class Sources:
    """The sources of this installation."""

    def __init__(self, database: Database, jobs: Jobs, settings: Settings) -> None:
        self._database = database
        self._jobs = jobs
        self._settings = settings

    async def add(self, new: NewSource) -> dict[str, Any]:
        """Adds a source; nothing is fetched yet.

        Raises Invalid for a name, location, option or schedule that makes no sense, Conflict when the name is taken.
        """
        check_source_name(new.name)
        return await self._add(new)

    async def _add(self, new: NewSource) -> dict[str, Any]:
        check_collection_name(new.collection)
        kind, config = parse_location(new.location, dict(new.options or {}))
        due = next_due(new.schedule) if new.schedule is not None else None
        async with self._database.transaction() as connection:
            collection_id = await records.ensure_collection(connection, new.collection)
            source_id = await source_records.insert(connection, collection_id, new.name, kind, new.location, config)
            if source_id is None:
                raise Conflict(f"Collection {new.collection!r} has a source named {new.name!r}. Choose another name.")
            await source_records.set_schedule(connection, source_id, new.schedule, due)
        return body(await self._by_id(source_id))

    async def ensure(self, location: str, collection: str) -> SourceRow:
        """The source of a collection that is called what its location is, added when there is none. Raises Invalid."""
        found = await source_records.find(self._database, location, collection)
        if not found:
            await self._add(NewSource(location, location, collection))
            found = await source_records.find(self._database, location, collection)
        return found[0]

    async def page(
        self, cursor: str | None = None, limit: int = 100, within: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Sources in the order they were added, a page at a time; of all collections, or of those `within`."""
        rows = await source_records.after(self._database, _cursor(cursor), limit + 1, within)
        following = str(rows[limit - 1].id) if len(rows) > limit else None
        return {"items": [body(row) for row in rows[:limit]], "next_cursor": following}

    async def all(self) -> list[SourceRow]:
        """Every source."""
        return await source_records.after(self._database, UUID(int=0), None)

    async def find(self, name: str, collection: str | None = None, within: Collection[str] | None = None) -> SourceRow:
        """The source of that name or id; those of collections not `within` are not there.

        Raises NotFound, Conflict when several collections have one.
        """
        rows = _of(await source_records.find(self._database, name, collection), within)
        if not rows and (row := await self._maybe_by_id(name)) is not None:
            rows = _of([row], within)
        if not rows:
            raise NotFound(f"There is no source named {name!r}. `groundwork sources list` lists those there are.")
        if len(rows) > 1:
            where = ", ".join(row.collection for row in rows)
            raise Conflict(f"Several collections have a source named {name!r} ({where}): name the collection too.")
        return rows[0]

    async def queue_sync(self, row: SourceRow, queue: str = BULK) -> dict[str, Any]:
        """Queues a sync of the source, or hurries on one that waits; the job."""
        await self._jobs.rescue_orphans()
        async with self._database.transaction() as connection:
            waiting = await self._jobs.adopt_waiting(connection, _lock(row.id), queue)
            job_id = waiting or await self._jobs.enqueue(connection, _order(row.id, row.name, row.collection, queue))
        return await self._jobs.show(job_id)

    async def queue_due(self) -> list[str]:
        """Queues every source whose time has come; their names."""
        now = utc_now()
        queued: list[str] = []
        async with self._database.transaction() as connection:
            for source_id, name, schedule, collection in await source_records.due(connection, now):
                await source_records.set_schedule(connection, source_id, schedule, next_due(schedule, now))
                if not await source_records.has_open_sync(connection, source_id):
                    await self._jobs.enqueue(connection, _order(source_id, name, collection, BULK))
                    queued.append(name)
        return queued

    async def set_schedule(self, row: SourceRow, schedule: str | None) -> dict[str, Any]:
        """Changes when the source is synced by itself. Raises Invalid."""
        async with self._database.transaction() as connection:
            due = next_due(schedule) if schedule is not None else None
            await source_records.set_schedule(connection, row.id, schedule, due)
        return body(await self._by_id(row.id))

    async def sync(self, pipeline: Pipeline, source_id: UUID, report: Report) -> sync.Report:
        """Brings the record in step with a source. Raises NotFound, Unavailable, and what `report` raises."""
        row = await self._by_id(source_id)
        report({"step": "fetch", "done": 0, "total": None})
        source = await asyncio.to_thread(open_source, row.kind, row.config, self._settings)
        try:
            items = await asyncio.to_thread(lambda: list(source.items()))
            destination = Destination(row.collection_id, row.id)
            names = (row.collection, row.name)
            return await sync.sync(
                pipeline, items, destination, names, lambda total, tally: report(tally.progress(total)), source.gaps
            )
        finally:
            await asyncio.to_thread(source.close)

    async def plan(self, pipeline: Pipeline, row: SourceRow) -> dict[str, Any]:
        """What a sync would do; touches nothing."""
        source = await asyncio.to_thread(open_source, row.kind, row.config, self._settings)
        try:
            items = await asyncio.to_thread(lambda: list(source.items()))
            return (await sync.plan(pipeline, items, Destination(row.collection_id, row.id))).body()
        finally:
            await asyncio.to_thread(source.close)

    async def remove(self, row: SourceRow) -> dict[str, Any]:
        """Forgets a source and removes its documents; what it was."""
        async with self._database.transaction() as connection:
            documents = await source_records.document_ids(connection, row.id)
            await records.delete_documents(connection, row.collection_id, documents)
            await source_records.delete(connection, row.id)
        return body(row)

    async def _by_id(self, source_id: UUID) -> SourceRow:
        row = await source_records.by_id(self._database, source_id)
        if row is None:
            raise NotFound(f"There is no source {source_id}; it may have been removed.")
        return row

    async def _maybe_by_id(self, text: str) -> SourceRow | None:
        try:
            return await source_records.by_id(self._database, UUID(text))
        except ValueError:
            return None


def body(row: SourceRow) -> dict[str, Any]:
    """A source as every face shows it."""
    return {
        "id": str(row.id),
        "name": row.name,
        "collection": row.collection,
        "kind": row.kind,
        "location": row.location,
        "config": row.config,
        "schedule": row.schedule,
        "next_sync_at": row.next_sync_at.isoformat() if row.next_sync_at else None,
        "last_synced_at": row.last_synced_at.isoformat() if row.last_synced_at else None,
        "created_at": row.created_at.isoformat(),
        "documents": row.documents,
        "failed": row.failed,
    }


def next_due(schedule: str, after: datetime | None = None) -> datetime:
    """When a schedule comes next, in UTC. Raises Invalid when it is no cron expression."""
    try:
        return croniter(schedule, after or utc_now()).get_next(datetime)
    except (ValueError, KeyError) as error:
        raise Invalid(
            f"{schedule!r} is not a schedule: write a cron expression in UTC, such as `0 3 * * *`."
        ) from error


def _of(rows: list[SourceRow], within: Collection[str] | None) -> list[SourceRow]:
    return rows if within is None else [row for row in rows if row.collection in within]


def _order(source_id: UUID, name: str, collection: str, queue: str) -> Order:
    return Order(
        "sync", f"Sync {name}", {"source_id": str(source_id), "collection": collection}, queue, _lock(source_id)
    )


def _lock(source_id: UUID) -> str:
    return f"source:{source_id}"


def _cursor(cursor: str | None) -> UUID:
    try:
        return UUID(cursor) if cursor else UUID(int=0)
    except ValueError:
        raise Invalid(f"{cursor!r} is not a cursor; use `next_cursor` of the page before.") from None

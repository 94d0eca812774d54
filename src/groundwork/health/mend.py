"""Mends what a look found, in the order in which one mending makes the next possible."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import structlog
from psycopg import AsyncConnection

from groundwork.budgets.records import recount
from groundwork.errors import GroundworkError
from groundwork.health import drift, records
from groundwork.health.look import Seen, Stored, Told
from groundwork.ingest.pipeline import Pipeline
from groundwork.ingest.records import announce
from groundwork.ingest.registry import Sources
from groundwork.ingest.upkeep.remake import remake
from groundwork.ingest.uploads import Uploads

log = structlog.get_logger()

_REMADE = ("passages_of_former_text", "passages_without_vector", "access_drift")


@dataclass(frozen=True)
class Means:
    """What mending works with."""

    stored: Stored
    pipeline: Pipeline
    sources: Sources
    uploads: Uploads


async def mend(means: Means, seen: Seen, told: Told) -> None:
    """Does what can be done about what was seen. What that left, another look tells."""
    told("mending the record", 0, None)
    if seen.count("rows_without_owner", "ready_without_text", "altered_text", "stale_checkpoints"):
        await _mend_rows(means)
    if seen.count("spent_not_in_ledger", "reserved_for_nothing"):
        async with means.stored.database.transaction() as connection:
            await recount(connection)
    await means.stored.jobs.rescue_orphans()
    await _read_again(means, told)
    await _remake(means, seen, told)
    if seen.count("uploads_nobody_takes"):
        await _take_uploads(means)
    await means.stored.lexical.catch_up()
    if seen.lexical or seen.lexical_unreadable:
        told("mending the lexical index", 0, None)
        await _mend_lexical(means, seen)
    if seen.vectors:
        told("mending the vector index", 0, None)
        space = means.pipeline.space()
        await means.stored.vectors.rebuild(space.id, space.embedder.model.dimension)


async def _mend_rows(means: Means) -> None:
    async with means.stored.database.transaction() as connection:
        await records.delete_ownerless(connection)
        await records.delete_stale_checkpoints(connection)
        await records.delete_altered_former_texts(connection)
        await _announce(connection, await records.fall_back(connection))


async def _read_again(means: Means, told: Told) -> None:
    """Takes documents whose text is damaged or lost from where they came from."""
    wanted = await records.to_read_again(means.stored.database)
    of_sources = [(document_id, source) for document_id, source, _ in wanted if source is not None]
    async with means.stored.database.transaction() as connection:
        await records.forget_content(connection, [document_id for document_id, _ in of_sources])
    for source_id in sorted({source for _, source in of_sources}):
        told("reading a source again", 0, None)
        await _attempt("source", means.sources.sync(means.pipeline, source_id, _unheard))
    for document_id in (document_id for document_id, source, uploaded in wanted if source is None and uploaded):
        await _attempt("upload", means.uploads.take(means.pipeline, document_id, _unheard))


async def _remake(means: Means, seen: Seen, told: Told) -> None:
    documents = {*await records.offending_documents(means.stored.database, _REMADE), *seen.badly_split}
    if documents:
        told("splitting and embedding again, documents", 0, len(documents))
        sound = await records.sound(means.stored.database, sorted(documents))
        await remake(means.pipeline, sound)


async def _take_uploads(means: Means) -> None:
    for document_id in await records.uploads_nobody_takes(means.stored.database):
        await _attempt("upload", means.uploads.take(means.pipeline, document_id, _unheard))


async def _mend_lexical(means: Means, seen: Seen) -> None:
    few = seen.lexical.missing_count < drift.MOST_KEPT
    if few and not seen.lexical.extra_count and not seen.lexical_unreadable:
        pairs = await records.documents_of(means.stored.database, seen.lexical.missing)
        async with means.stored.database.transaction() as connection:
            await _announce(connection, pairs)
        await means.stored.lexical.catch_up()
    else:
        await means.stored.lexical.renew()


async def _announce(connection: AsyncConnection, documents: Iterable[tuple[UUID, UUID]]) -> None:
    """Tells followers and caches of documents, each with its collection."""
    for collection_id, group in groupby(sorted(documents), key=lambda pair: pair[0]):
        await announce(connection, collection_id, [document_id for _, document_id in group])


async def _attempt(what: str, work: Any) -> None:
    """One thing that cannot be mended must not keep others from it; the next look tells that it was not."""
    try:
        await work
    except GroundworkError as error:
        log.warning("could not be read again", what=what, reason=error.message)


def _unheard(progress: Mapping[str, Any]) -> None:
    """Nobody watches."""

"""Brings a checked portable file into a collection: one transaction a batch, and what is there already stays untouched."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from groundwork.ingest import records as ingest_records
from groundwork.ingest.items import Failed, Prepared, passage_hash
from groundwork.ingest.pipeline import Pipeline
from groundwork.ingest.portable import records
from groundwork.ingest.portable.read import PortableDocument, PortableFile
from groundwork.ingest.portable.records import Around, Held
from groundwork.ingest.portable.save import Progress
from groundwork.ingest.records import Destination, Publication, SpaceMoved

_BATCH_CHUNKS = 256
_BATCH_DOCUMENTS = 100
_BATCH_CHARACTERS = 8 << 20


@dataclass
class Taken:
    """What an import did."""

    documents: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {**vars(self), "seconds": round(self.seconds, 3)}


async def take(
    pipeline: Pipeline, file: PortableFile, collection_id: UUID, own_space: int | None, progress: Progress
) -> Taken:
    """Takes every document of a checked file in. Its vectors are used while `own_space` is live."""
    began = time.monotonic()
    done = Taken()
    batches = _batches(file.documents())
    while batch := await asyncio.to_thread(next, batches, None):
        try:
            await _take_batch(pipeline, batch, collection_id, own_space, done)
        except SpaceMoved:
            await pipeline.refresh()
            await _take_batch(pipeline, batch, collection_id, own_space, done)
        progress("importing documents", done.documents, file.manifest.counts.documents)
    done.seconds = time.monotonic() - began
    return done


async def _take_batch(
    pipeline: Pipeline, batch: Sequence[PortableDocument], collection_id: UUID, own_space: int | None, done: Taken
) -> None:
    held = await records.held(pipeline.database, collection_id, [each.line.uri for each in batch])
    changed = [each for each in batch if not _same(each, held.get(each.line.uri))]
    publications = await _publications(pipeline, [each for each in changed if each.live is not None], own_space)
    destination = Destination(collection_id, None)
    async with pipeline.database.transaction() as connection:
        await ingest_records.publish(connection, destination, publications)
        for each in changed:
            if each.live is None:
                await ingest_records.record_failure(connection, destination, _failed(each))
        ids = await records.document_ids(connection, collection_id, [each.line.uri for each in changed])
        await records.add_former_versions(connection, _former(changed, ids))
        await records.set_around(connection, {ids[each.line.uri]: _around(each) for each in changed})
        if unpublished := [ids[each.line.uri] for each in changed if each.live is None]:
            await ingest_records.announce(connection, collection_id, unpublished)  # of their labels
    _count(done, batch, changed, held, publications)


async def _publications(
    pipeline: Pipeline, documents: Sequence[PortableDocument], own_space: int | None
) -> list[Publication]:
    space = pipeline.space()
    with_vectors = [each for each in documents if space.id == own_space and each.vectors is not None]
    without = [each for each in documents if space.id != own_space or each.vectors is None]
    embedded = await pipeline.embed([_prepared(each) for each in without], space) if without else []
    return [*(_as_it_was(each, space.id) for each in with_vectors), *embedded]


def _as_it_was(document: PortableDocument, space: int) -> Publication:
    prepared = _prepared(document)
    assert document.vectors is not None
    return Publication(prepared, space, document.vectors, [passage_hash(text) for text in prepared.passages()], 0)


def _prepared(document: PortableDocument) -> Prepared:
    live, line = document.live, document.line
    assert live is not None
    return Prepared(
        uri=line.uri,
        title=live.title,
        media_type=live.media_type,
        language=live.language,
        content_hash=bytes.fromhex(line.content_hash or live.sha256),
        text=live.text,
        pages=tuple(live.pages),
        chunks=document.chunks,
        markdown=live.markdown,
    )


def _same(document: PortableDocument, held: Held | None) -> bool:
    line = document.line
    live = bytes.fromhex(line.live) if line.live is not None else None
    return held is not None and (held.status, held.live, sorted(held.tags), held.metadata) == (
        line.status,
        live,
        sorted(line.tags),
        line.metadata,
    )


def _failed(document: PortableDocument) -> Failed:
    line = document.line
    digest = bytes.fromhex(line.content_hash) if line.content_hash is not None else None
    return Failed(line.uri, line.title, line.error or "It could not be taken in where it came from.", digest)


def _former(documents: Sequence[PortableDocument], ids: Mapping[str, UUID]) -> list[tuple[Any, ...]]:
    return [
        (
            ids[document.line.uri],
            bytes.fromhex(each.sha256),
            each.text,
            each.title,
            each.media_type,
            each.language,
            list(each.pages),
            each.markdown,
            each.created_at,
        )
        for document in documents
        for each in document.versions
        if each.sha256 != document.line.live
    ]


def _around(document: PortableDocument) -> Around:
    line = document.line
    return Around(line.status, line.error, line.tags, line.metadata, line.created_at, line.live_since)


def _count(
    done: Taken,
    batch: Sequence[PortableDocument],
    changed: Sequence[PortableDocument],
    held: Mapping[str, Held],
    publications: Sequence[Publication],
) -> None:
    done.documents += len(batch)
    done.unchanged += len(batch) - len(changed)
    for each in changed:
        if each.live is None:
            done.failed += 1
        elif each.line.uri in held:
            done.updated += 1
        else:
            done.added += 1
    done.chunks += sum(len(each.document.chunks) for each in publications)
    done.embedded += sum(each.embedded for each in publications)


def _batches(documents: Iterator[PortableDocument]) -> Iterator[list[PortableDocument]]:
    batch: list[PortableDocument] = []
    chunks = characters = 0
    for document in documents:
        batch.append(document)
        chunks += len(document.chunks)
        characters += sum(len(each.text) for each in document.versions)
        if len(batch) >= _BATCH_DOCUMENTS or chunks >= _BATCH_CHUNKS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, chunks, characters = [], 0, 0
    if batch:
        yield batch

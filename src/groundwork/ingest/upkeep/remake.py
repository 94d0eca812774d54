"""Makes a document's passages and vectors again from its stored text; the text, its state and its dates stay."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from groundwork.ingest.items import Prepared
from groundwork.ingest.pipeline import Pipeline
from groundwork.ingest.records import Destination, Publication, SpaceMoved, publish
from groundwork.ingest.upkeep import records
from groundwork.ingest.upkeep.records import LiveText

_AT_ONCE = 20


@dataclass(frozen=True)
class _Remade:
    """A document's live text, and its passages as they should be."""

    text: LiveText
    publication: Publication


async def remake(pipeline: Pipeline, documents: Sequence[UUID]) -> int:
    """Splits and embeds these documents again, each batch in one transaction; how many there were.

    Vectors that are known are not computed again. A document that changed meanwhile is left as it is.
    """
    done = 0
    for at in range(0, len(documents), _AT_ONCE):
        texts = await records.live_texts(pipeline.database, documents[at : at + _AT_ONCE])
        prepared = await asyncio.to_thread(_prepared_all, pipeline, texts)
        try:
            done += await _publish(pipeline, await _remade(pipeline, texts, prepared))
        except SpaceMoved:
            await pipeline.refresh()
            done += await _publish(pipeline, await _remade(pipeline, texts, prepared))
    return done


async def _remade(pipeline: Pipeline, texts: Sequence[LiveText], prepared: Sequence[Prepared]) -> list[_Remade]:
    publications = await pipeline.embed(prepared, pipeline.space()) if prepared else []
    return [_Remade(*pair) for pair in zip(texts, publications, strict=True)]


async def _publish(pipeline: Pipeline, remade: Iterable[_Remade]) -> int:
    done = 0
    ordered = sorted(remade, key=lambda each: (each.text.collection_id.int, each.text.uri))
    async with pipeline.database.transaction() as connection:
        unchanged = await records.lock_live(connection, [each.text for each in ordered])
        still = [each for each in ordered if each.text.document_id in unchanged]
        for destination, group in groupby(still, key=lambda each: Destination(each.text.collection_id, None)):
            publications = [each.publication for each in group]
            await publish(connection, destination, publications)
            done += len(publications)
        await records.restore_state(connection, [each.text for each in still])
    return done


def _prepared_all(pipeline: Pipeline, texts: Sequence[LiveText]) -> list[Prepared]:
    return [_prepared(pipeline, each) for each in texts]


def _prepared(pipeline: Pipeline, text: LiveText) -> Prepared:
    chunks = pipeline.preparer.splitter.split(text.text, text.markdown, text.pages)
    return Prepared(
        uri=text.uri,
        title=text.title,
        media_type=text.media_type,
        language=text.language,
        content_hash=text.content_hash or b"",
        text=text.text,
        pages=tuple(text.pages),
        chunks=tuple(chunks),
        markdown=text.markdown,
    )

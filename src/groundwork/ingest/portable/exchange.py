"""Export and import of a collection by name."""

import asyncio
from pathlib import Path
from typing import Any

from groundwork.errors import Conflict
from groundwork.ingest import records as ingest_records
from groundwork.ingest.pipeline import Pipeline
from groundwork.ingest.portable import form, records, save, take
from groundwork.ingest.portable.read import PortableFile
from groundwork.ingest.portable.save import Chosen, Progress
from groundwork.spaces import records as spaces
from groundwork.store.database import Database


async def export_collection(
    database: Database, name: str, file: Path, replace: bool, progress: Progress
) -> dict[str, Any]:
    """Writes a collection into `file`; what is in it. Raises NotFound, Conflict, Unavailable."""
    collection_id, description, private = await records.collection(database, name)
    space = await spaces.live(database)
    if space is None:
        raise Conflict("Nothing was ever taken in here: there is nothing to export.")
    model = form.Model(name=space.model.name, revision=space.model.revision, dimension=space.model.dimension)
    told = form.Collection(name=name, description=description, private=private)
    chosen = Chosen(collection_id, told, space.id, model)
    manifest = await save.save(database, chosen, file, replace, progress)
    return {
        "collection": name,
        "file": str(file),
        "bytes": file.stat().st_size,
        **manifest.counts.model_dump(),
        "model": model.model_dump(),
    }


async def import_collection(pipeline: Pipeline, file: PortableFile, name: str, progress: Progress) -> dict[str, Any]:
    """Takes a checked file into a collection, made when there is none; what that did.

    What was private stays so: a collection that takes it in becomes private.
    """
    async with pipeline.database.transaction() as connection:
        was = file.manifest.collection
        await ingest_records.create_collection(connection, name, was.description, was.private)
        if was.private:
            await ingest_records.set_private(connection, name, True)
        collection_id = await ingest_records.ensure_collection(connection, name)
    space = pipeline.space()
    model = space.embedder.model
    fits = file.manifest.model == form.Model(name=model.name, revision=model.revision, dimension=model.dimension)
    taken = await take.take(pipeline, file, collection_id, space.id if fits else None, progress)
    return {"collection": name, **taken.body()}


async def check(file: PortableFile, progress: Progress) -> None:
    """Reads and checks all of a file before anything is touched. Raises Corrupt."""
    await asyncio.to_thread(file.check, progress)

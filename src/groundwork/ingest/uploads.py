"""Uploads: the original is kept by its hash, the document noted as pending and a job queued, before anyone is answered."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID, uuid4

from groundwork.errors import Invalid, NotFound, Unavailable
from groundwork.ingest import records
from groundwork.ingest.items import Item, Known
from groundwork.ingest.pipeline import Pipeline
from groundwork.ingest.records import Destination
from groundwork.store.database import Database
from groundwork.store.jobs import INTERACTIVE, Jobs, Order

_SCHEME = "upload:"
_REMOVED = "The document was removed before it could be taken in."


@dataclass(frozen=True)
class Originals:
    """Uploaded bytes in a folder, each file named by its SHA-256: equal content is kept once."""

    folder: Path

    def put(self, content: bytes) -> bytes:
        """Keeps `content`, so that a power cut does not take it; its hash.

        It takes as long as the disk does. Raises Unavailable when the disk does not take it.
        """
        digest = hashlib.sha256(content).digest()
        path = self._path(digest)
        try:
            if not path.exists():
                _write(path, content)
        except OSError as error:
            raise Unavailable(
                f"The upload could not be kept in {self.folder}: {error.strerror or error}. Make room or see to the disk, "
                "then send it again."
            ) from error
        return digest

    def get(self, digest: bytes) -> bytes:
        """The content of that hash. Raises OSError when it is not kept here."""
        return self._path(digest).read_bytes()

    def drop(self, digest: bytes) -> None:
        """Removes the content of that hash, if it is kept here."""
        self._path(digest).unlink(missing_ok=True)

    def has(self, digest: bytes) -> bool:
        """Whether the content of that hash is kept here."""
        return self._path(digest).is_file()

    def size_bytes(self) -> int:
        """Length of everything kept here, in bytes."""
        total = 0
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):  # it was dropped meanwhile
                total += path.stat().st_size
        return total

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.folder / name[:2] / name


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    for folder in path.parents[:3]:  # up to the data directory: each may be new
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Uploads:
    """Takes uploads in."""

    database: Database
    jobs: Jobs
    originals: Originals

    async def accept(self, collection: str, filename: str, content: bytes) -> tuple[UUID, UUID]:
        """Keeps an upload and queues it; ids of document and job. The same name in the same collection replaces.

        Raises Invalid for a name that is none.
        """
        name = PurePath(filename.replace("\\", "/")).name.replace("\0", "").strip()
        if not name:
            raise Invalid("The upload has no file name. Send one; it becomes the document's address.")
        digest = await asyncio.to_thread(self.originals.put, content)
        async with self.database.transaction() as connection:
            await records.lock_original(connection, digest)
            await asyncio.to_thread(
                self.originals.put, content
            )  # nearly always there already; nobody drops it from here on
            collection_id = await records.ensure_collection(connection, collection)
            former = await records.content_hash_at(connection, collection_id, _SCHEME + name)
            document_id = await records.note_pending(connection, collection_id, _SCHEME + name, name, digest)
            job_id = await self.jobs.enqueue(
                connection,
                Order(
                    "upload",
                    f"Upload {name}",
                    {"document_id": str(document_id), "content_hash": digest.hex(), "collection": collection},
                    INTERACTIVE,
                    lock=f"document:{document_id}",
                ),
            )
        await self.drop_original(_SCHEME + name, former)
        return document_id, job_id

    async def drop_original(self, uri: str, digest: bytes | None) -> None:
        """Removes an original that an upload no longer has, unless another has the same content."""
        if digest is None or not uri.startswith(_SCHEME):
            return
        async with self.database.transaction() as connection:
            await records.lock_original(connection, digest)
            if not await records.is_original_wanted(connection, digest):
                self.originals.drop(digest)

    async def take(
        self,
        pipeline: Pipeline,
        document_id: UUID,
        report: Callable[[Mapping[str, Any]], None],
        content_hash: bytes | None = None,
    ) -> Mapping[str, Any]:
        """Takes a pending upload in; what became of it. Raises NotFound when the document is gone, Unavailable.

        `content_hash` names the very upload; without it the newest of the document is meant.
        """
        pending = await records.pending_upload(self.database, document_id)
        if pending is None:
            raise NotFound(_REMOVED)
        collection_id, uri, newest = pending
        digest = content_hash or newest
        item = Item(uri, uri.removeprefix(_SCHEME), lambda: self.originals.get(digest))
        nothing_known: dict[str, Known] = {}
        tally = await pipeline.run(
            [item], nothing_known, Destination(collection_id, None), lambda tally: report(tally.progress(1))
        )
        if await records.pending_upload(self.database, document_id) is None:
            await self._unmake(collection_id, uri)
            raise NotFound(_REMOVED)
        failure = tally.failures[0].reason if tally.failures else None
        return {"document_id": str(document_id), "chunks": tally.chunks, "embedded": tally.embedded, "failure": failure}

    async def _unmake(self, collection_id: UUID, uri: str) -> None:
        """Removes again what was published of a document that somebody deleted meanwhile."""
        async with self.database.transaction() as connection:
            made = await records.document_at(connection, collection_id, uri)
            if made is not None:
                await records.delete_documents(connection, collection_id, [made])

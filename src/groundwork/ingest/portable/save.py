"""Writes a collection into a portable file, in one snapshot of the record, a few documents at a time."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid4
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from groundwork import __version__
from groundwork.clock import utc_now
from groundwork.errors import Conflict, NotFound, Unavailable
from groundwork.ingest.portable import form, records
from groundwork.ingest.portable.records import Snapshot
from groundwork.store.database import Database

Progress = Callable[[str, int, int | None], None]
"""Told what is being worked on, how much of it is done, and of how much (None: nobody knows)."""


def untold(what: str, done: int, total: int | None) -> None:
    """Progress nobody looks at."""


_FLUSH_BYTES = 1 << 20
_ROWS_AT_ONCE = 500
_TEXTS_AT_ONCE = 8
"""A text may be tens of millions of characters long."""


@dataclass(frozen=True)
class Chosen:
    """What is to be written."""

    collection_id: UUID
    collection: form.Collection
    space: int
    model: form.Model


async def save(database: Database, chosen: Chosen, file: Path, replace: bool, progress: Progress) -> form.Manifest:
    """Writes `file`, whole or not at all; what it says of itself.

    Raises Conflict when there is a file already, NotFound without its folder, Unavailable when it cannot be written.
    """
    if file.exists() and not replace:
        raise Conflict(f"There is a file at {file} already. Give --force to replace it, or choose another name.")
    if not file.parent.is_dir():
        raise NotFound(f"There is no folder {file.parent} to write into. Make it first.")
    draft = file.with_name(f".{file.name}.{uuid4().hex[:8]}.part")
    try:
        manifest = await _write(database, chosen, draft, progress)
        draft.replace(file)
    except OSError as error:
        raise Unavailable(f"{file} could not be written: {error.strerror or error}.") from error
    finally:
        draft.unlink(missing_ok=True)
    return manifest


async def _write(database: Database, chosen: Chosen, draft: Path, progress: Progress) -> form.Manifest:
    with draft.open("xb") as raw:
        with ZipFile(raw, "w") as archive:
            async with records.snapshot(database, chosen.collection_id, chosen.space) as snapshot:
                counts, members = await _write_members(snapshot, archive, progress)
            manifest = _manifest(chosen, counts, members)
            archive.writestr(_info(form.MANIFEST), manifest.model_dump_json(indent=1))
        raw.flush()
        await asyncio.to_thread(os.fsync, raw.fileno())
    return manifest


async def _write_members(
    snapshot: Snapshot, archive: ZipFile, progress: Progress
) -> tuple[form.Counts, dict[str, form.Member]]:
    total = await snapshot.count()
    documents = await _write_lines(snapshot, archive, form.DOCUMENTS, records.DOCUMENTS, progress, total)
    versions = await _write_lines(snapshot, archive, form.VERSIONS, records.VERSIONS, progress, None)
    chunks = await _write_lines(snapshot, archive, form.CHUNKS, records.CHUNKS, progress, None)
    vectors = await _write_vectors(snapshot, archive, progress)
    written = dict(zip(form.MEMBERS, (documents, versions, chunks, vectors), strict=True))
    counts = form.Counts(documents=documents.rows, versions=versions.rows, chunks=chunks.rows, vectors=vectors.rows)
    return counts, {name: each.member() for name, each in written.items()}


@dataclass
class _Writing:
    """A member as it is written: hashed, counted, and handed on in pieces of about a megabyte."""

    target: IO[bytes]
    rows: int = 0
    length: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    _pieces: list[bytes] = field(default_factory=list[bytes])
    _waiting: int = 0

    async def add(self, piece: bytes) -> None:
        self.rows += 1
        self.length += len(piece)
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= _FLUSH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        self.digest.update(joined)
        await asyncio.to_thread(self.target.write, joined)  # compressing takes a while

    def member(self) -> form.Member:
        return form.Member(bytes=self.length, sha256=self.digest.hexdigest())


async def _write_lines(
    snapshot: Snapshot, archive: ZipFile, name: str, query: Any, progress: Progress, total: int | None
) -> _Writing:
    with archive.open(_info(name), "w", force_zip64=True) as target:
        writing = _Writing(target)
        async for row in snapshot.rows(query, _TEXTS_AT_ONCE if name == form.VERSIONS else _ROWS_AT_ONCE):
            if name == form.CHUNKS:
                row["vector"] = row.pop("embedding") is not None
            await writing.add(json.dumps(row, ensure_ascii=False, default=_plain).encode() + b"\n")
            progress(f"writing {name.partition('.')[0]}", writing.rows, total)
        await writing.flush()
    return writing


async def _write_vectors(snapshot: Snapshot, archive: ZipFile, progress: Progress) -> _Writing:
    with archive.open(_info(form.VECTORS), "w", force_zip64=True) as target:
        writing = _Writing(target)
        async for row in snapshot.rows(records.CHUNKS, _ROWS_AT_ONCE):
            if row["embedding"] is not None:
                await writing.add(row["embedding"].to_numpy().astype("<f2").tobytes())
                progress("writing vectors", writing.rows, None)
        await writing.flush()
    return writing


def _manifest(chosen: Chosen, counts: form.Counts, members: dict[str, form.Member]) -> form.Manifest:
    return form.Manifest(
        format=form.FORMAT,
        format_version=form.FORMAT_VERSION,
        made_by=f"groundwork {__version__}",
        made_at=utc_now(),
        collection=chosen.collection,
        model=chosen.model,
        counts=counts,
        members=members,
    )


def _info(name: str) -> ZipInfo:
    """An entry without a date of its own. Vectors are stored as they are: compressing gains nothing."""
    info = ZipInfo(name)
    info.compress_type = ZIP_STORED if name == form.VECTORS else ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _plain(value: object) -> str:
    assert isinstance(value, datetime), value
    return value.isoformat()

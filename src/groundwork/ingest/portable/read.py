"""Reads a portable file: all of it checked first, then document after document. Touches no database."""

import hashlib
import json
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar, cast
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from groundwork.errors import Conflict, Corrupt, Invalid, NotFound
from groundwork.ingest.items import passage, passage_hash
from groundwork.ingest.portable import form
from groundwork.ingest.split import Chunk

L = TypeVar("L", bound=form.Line)
G = TypeVar("G", form.VersionLine, form.ChunkLine)
_LONGEST_LINE = 512 << 20
_LONGEST_MANIFEST = 1 << 20
_PIECE = 1 << 20


@dataclass(frozen=True)
class PortableDocument:
    """A document with all that hangs on it."""

    line: form.DocumentLine
    versions: tuple[form.VersionLine, ...]
    chunks: tuple[Chunk, ...]
    """Of the live version."""
    vectors: NDArray[np.float32] | None
    """float32 of shape (chunks, dimension); None when a chunk has none."""

    @property
    def live(self) -> form.VersionLine | None:
        """The version that is searched."""
        return next((each for each in self.versions if each.sha256 == self.line.live), None)


@dataclass(frozen=True)
class PortableFile:
    """An open file whose manifest can be read; `check` before anything else."""

    archive: ZipFile
    manifest: form.Manifest

    def check(self, progress: Callable[[str, int, int | None], None]) -> None:
        """Reads every byte and compares it with the manifest, and every span with its text. Raises Corrupt."""
        for name in form.MEMBERS:
            progress(f"checking {name}", 0, None)
            self._check_member(name)
        counts = {"documents": 0, "versions": 0, "chunks": 0}
        for document in self.documents():
            counts["documents"] += 1
            counts["versions"] += len(document.versions)
            counts["chunks"] += len(document.chunks)
            progress("checking documents", counts["documents"], self.manifest.counts.documents)
        for noun, found in counts.items():
            if found != getattr(self.manifest.counts, noun):
                raise _damaged(f"it holds {found:,} {noun} and names {getattr(self.manifest.counts, noun):,}")

    def documents(self) -> Iterator[PortableDocument]:
        """Every document in turn, its spans compared with its text. Raises Corrupt."""
        with (
            _damage(),
            self.archive.open(form.DOCUMENTS) as documents,
            self.archive.open(form.VERSIONS) as versions,
            self.archive.open(form.CHUNKS) as chunks,
            self.archive.open(form.VECTORS) as vectors,
        ):
            texts = _Groups(_lines(versions, form.VersionLine))
            spans = _Groups(_lines(chunks, form.ChunkLine))
            for place, line in enumerate(_lines(documents, form.DocumentLine)):
                yield self._document(line, texts.of(place), spans.of(place), vectors)
            if not (texts.ended and spans.ended) or vectors.read(1):
                raise _damaged("it holds texts, passages or vectors of no document")

    def _document(
        self, line: form.DocumentLine, versions: list[form.VersionLine], spans: list[form.ChunkLine], vectors: IO[bytes]
    ) -> PortableDocument:
        for version in versions:
            if hashlib.sha256(version.text.encode()).hexdigest() != version.sha256:
                raise _damaged(f"a text of {line.uri} is not the one its version names")
        rows = _rows(vectors, sum(span.vector for span in spans), self.manifest.model.dimension)
        document = PortableDocument(line, tuple(versions), (), None)
        if line.live is None and not spans:
            return document
        if document.live is None:
            raise _damaged(f"the text of {line.uri} is missing")
        chunks = tuple(_chunk(line, document.live, span) for span in spans)
        return PortableDocument(line, tuple(versions), chunks, rows if len(rows) == len(chunks) else None)

    def _check_member(self, name: str) -> None:
        said = self.manifest.members.get(name)
        if said is None:
            raise _damaged(f"its manifest does not name {name}")
        digest, length = hashlib.sha256(), 0
        with _damage(), self.archive.open(name) as member:
            while length <= said.bytes and (piece := member.read(_PIECE)):
                digest.update(piece)
                length += len(piece)
        if (length, digest.hexdigest()) != (said.bytes, said.sha256):
            raise _damaged(f"{name} is not what was written")


@contextmanager
def open_portable(file: Path) -> Generator[PortableFile]:
    """A portable file for as long as the block runs.

    Raises NotFound, Invalid when it is no such file, Conflict when a newer version made it, Corrupt when it is damaged.
    """
    if not file.is_file():
        raise NotFound(f"There is no file at {file}. Check the path and try again.")
    try:
        archive = ZipFile(file)
    except (BadZipFile, OSError) as error:
        raise Invalid(
            f"{file} is no export of Groundwork, or its end is missing ({error}). Copy it again, or export it anew."
        ) from error
    with archive:
        yield PortableFile(archive, _manifest(file, archive))


def _manifest(file: Path, archive: ZipFile) -> form.Manifest:
    try:
        with _damage(), archive.open(form.MANIFEST) as member:
            raw = member.read(_LONGEST_MANIFEST)
    except Corrupt as error:
        raise Invalid(f"{file} is no export of Groundwork: it has no manifest.") from error
    with _damage():
        said = cast("dict[str, Any]", json.loads(raw))
        if said.get("format") != form.FORMAT:
            raise Invalid(f"{file} is no export of Groundwork.")
        if said.get("format_version") != form.FORMAT_VERSION:
            raise Conflict(
                f"{file} has format {said.get('format_version')} and this version of Groundwork reads format "
                f"{form.FORMAT_VERSION}: it was made by {said.get('made_by')}. Import it with that version or a newer one."
            )
        return form.Manifest.model_validate(said)


class _Groups(Generic[G]):
    """Lines of one document after another, taken document by document."""

    def __init__(self, lines: Iterator[G]) -> None:
        self._lines = lines
        self._next = next(lines, None)

    @property
    def ended(self) -> bool:
        """Whether every line was taken."""
        return self._next is None

    def of(self, place: int) -> list[G]:
        """The lines of the document at `place`."""
        found: list[G] = []
        while self._next is not None and self._next.document == place:
            found.append(self._next)
            self._next = next(self._lines, None)
        return found


def _lines(member: IO[bytes], kind: type[L]) -> Iterator[L]:
    while raw := member.readline(_LONGEST_LINE):
        yield kind.model_validate_json(raw)


def _rows(member: IO[bytes], count: int, dimension: int) -> NDArray[np.float32]:
    wanted = count * dimension * 2
    raw = member.read(wanted)
    if len(raw) != wanted:
        raise _damaged("vectors are missing")
    rows = np.frombuffer(raw, "<f2").reshape(count, dimension).astype(np.float32)
    if not np.isfinite(rows).all():
        raise _damaged("a vector is not a number")
    return rows


def _chunk(line: form.DocumentLine, version: form.VersionLine, span: form.ChunkLine) -> Chunk:
    if not span.start < span.end <= len(version.text):
        raise _damaged(f"a passage of {line.uri} lies outside its text")
    chunk = Chunk(
        span.ordinal, span.start, span.end, span.page, tuple(span.heading_path), version.text[span.start : span.end]
    )
    if passage_hash(passage(version.title, chunk)).hex() != span.embed_hash:
        raise _damaged(f"a passage of {line.uri} is not the text at its span")
    return chunk


@contextmanager
def _damage() -> Generator[None]:
    """Whatever a damaged member makes of its readers, said in one way."""
    try:
        yield
    except (
        BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        KeyError,
        ValidationError,
        ValueError,
        AttributeError,
        NotImplementedError,
    ) as error:
        raise _damaged(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def _damaged(what: str) -> Corrupt:
    return Corrupt(f"The file is damaged: {what}. Nothing was imported. Copy it again, or export it anew.")

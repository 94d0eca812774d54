"""From an item to a prepared document: read, hash, extract, split. Blocks; runs in threads, touches no database."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath

import structlog

from groundwork.errors import GroundworkError, Unavailable
from groundwork.ingest.extract import Extractor
from groundwork.ingest.items import Failed, Item, Known, Outcome, Prepared, Unchanged
from groundwork.ingest.language import language_of
from groundwork.ingest.split import Splitter
from groundwork.ingest.steps import Steps

log = structlog.get_logger()


@dataclass(frozen=True)
class Preparer:
    """Prepares items; a bad one becomes a `Failed` with its reason and never an exception."""

    extractor: Extractor
    splitter: Splitter
    max_bytes: int

    def prepare(self, item: Item, known: Mapping[str, Known], steps: Steps) -> Outcome:
        """What became of `item`, given what the record knows by URI; `steps` shows meanwhile where it is."""
        with steps.following() as enter:
            return self._prepare(item, known, enter)

    def _prepare(self, item: Item, known: Mapping[str, Known], enter: Callable[[str], None]) -> Outcome:
        enter("fetch")
        try:
            content = item.read()
        except OSError as error:
            return self._failed(item, f"The file cannot be read: {error.strerror or error}.", None)
        except GroundworkError as error:
            return replace(self._failed(item, error.message, None), passing=isinstance(error, Unavailable))
        digest = hashlib.sha256(content).digest()
        before = known.get(item.uri)
        if before is not None and before.status == "ready" and before.content_hash == digest:
            return Unchanged(item.uri)
        if len(content) > self.max_bytes:
            limit = self.max_bytes >> 20
            return self._failed(item, f"The file is larger than {limit} MiB (GROUNDWORK_INGEST__MAX_FILE_MB).", digest)
        try:
            return self._take(item, content, digest, enter)
        except GroundworkError as error:
            return replace(self._failed(item, error.message, digest), passing=isinstance(error, Unavailable))
        except Exception as error:  # one document must never stop the others
            log.exception("document could not be prepared", uri=item.uri)
            return self._failed(item, f"Something unforeseen went wrong with it: {error!r}.", digest)

    def _take(self, item: Item, content: bytes, digest: bytes, enter: Callable[[str], None]) -> Prepared:
        enter("extract")
        filename = item.filename_read() if item.filename_read else item.filename
        extracted = self.extractor.extract(content, filename)
        enter("split")
        chunks = self.splitter.split(extracted.text, extracted.markdown, extracted.pages, extracted.code)
        return Prepared(
            uri=item.uri,
            title=item.title or extracted.title,
            media_type=extracted.media_type,
            language=None if extracted.code else language_of(extracted.text),
            content_hash=digest,
            text=extracted.text,
            pages=extracted.pages,
            chunks=tuple(chunks),
            markdown=extracted.markdown,
        )

    def _failed(self, item: Item, reason: str, digest: bytes | None) -> Failed:
        return Failed(item.uri, item.title or PurePath(item.filename).name, reason, digest)

"""Lexical indexes: words in, the chunks that hold them out, by BM25. One port, one file per adapter, and a double.

An index is derived: `follow` keeps it in step with the database, and builds it anew when it is missing or damaged.
Search results are hydrated from the database, which has the last word on what exists and who may see it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from groundwork.candidates import Filters, Hit


@dataclass(frozen=True)
class Entry:
    """One chunk as the index sees it."""

    chunk_id: UUID
    document_id: UUID
    collection_id: UUID
    source_id: UUID | None
    media_type: str
    language: str | None
    """ISO 639-1, None when it is not known."""
    title: str
    """The document's title and the headings the chunk stands under."""
    text: str
    """The chunk's own words."""
    tags: tuple[str, ...] = ()
    """Of its document."""
    live_since: datetime | None = None
    """When its text was taken in."""


class LexicalIndex(Protocol):
    """Finds chunks by their words. `search` is thread-safe; the writing methods are called by one writer."""

    def search(self, question: str, filters: Filters, limit: int) -> list[Hit]:
        """The `limit` best chunks by BM25 that `filters` admit, best first. Blocks for well under a millisecond.

        Raises Corrupt when the index cannot be read.
        """
        ...

    def replace(self, documents: Iterable[UUID], entries: Iterable[Entry]) -> None:
        """Forgets all chunks of `documents` and takes `entries` in; visible after `commit`."""
        ...

    def commit(self) -> None:
        """Makes everything replaced so far durable and visible at once."""
        ...

    def refresh(self) -> None:
        """Makes what another process committed visible here."""
        ...

    def count(self) -> int:
        """How many chunks the index holds."""
        ...

    def count_document(self, document_id: UUID) -> int:
        """How many chunks of a document the index holds: 0 once its deletion is committed."""
        ...

    def ids(self) -> Iterator[UUID]:
        """The chunks the index holds, in ascending order; what compares it with the record.

        Raises Corrupt when the index cannot be read.
        """
        ...

    def close(self) -> None:
        """Gives back files and locks."""
        ...

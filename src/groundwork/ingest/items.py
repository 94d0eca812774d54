"""What comes into ingestion and what is made of it on the way to the record."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from groundwork.ingest.split import Chunk
from groundwork.spaces.passages import passage_hash as passage_hash
from groundwork.spaces.passages import passage_text


@dataclass(frozen=True)
class Item:
    """One document as a source offers it."""

    uri: str
    filename: str
    read: Callable[[], bytes]
    """Reads the original bytes. Raises OSError or a GroundworkError when they cannot be had; Unavailable: not now."""
    title: str | None = None
    """The source's own title, when it knows better than the content."""
    filename_read: Callable[[], str] | None = None
    """The file name once `read` has returned, where that tells it: a web page says what it is when it is fetched."""


@dataclass(frozen=True)
class Known:
    """What the record holds of a document that a source offers again."""

    document_id: UUID
    content_hash: bytes | None
    status: str
    owned: bool = True
    """Whether it belongs to the source that offers it; the first source to offer a document keeps it."""


@dataclass(frozen=True)
class Unchanged:
    """The same bytes as last time."""

    uri: str


@dataclass(frozen=True)
class Failed:
    """A document that could not be taken, and why."""

    uri: str
    title: str
    reason: str
    content_hash: bytes | None
    passing: bool = False
    """Whether it is the source that did not answer this time: nothing is wrong with what the record holds."""


@dataclass(frozen=True)
class Prepared:
    """A document extracted and split, ready to be embedded and published."""

    uri: str
    title: str
    media_type: str
    language: str | None
    """ISO 639-1, None when it cannot be told."""
    content_hash: bytes
    text: str
    pages: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    markdown: bool = False
    """Whether `text` is Markdown, so that it can be split again at its headings."""

    @property
    def version(self) -> bytes:
        """SHA-256 of the text in UTF-8: what a citation names as the version."""
        return hashlib.sha256(self.text.encode()).digest()

    def passages(self) -> list[str]:
        """What is embedded for each chunk: title and headings put before its words."""
        return [passage(self.title, chunk) for chunk in self.chunks]


Outcome = Unchanged | Failed | Prepared


def passage(title: str, chunk: Chunk) -> str:
    """A chunk with what tells it apart from others like it: its title, then its headings."""
    return passage_text(title, chunk.heading_path, chunk.text)

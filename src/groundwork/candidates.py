"""What the searches are asked and what they answer: filters in, scored chunk ids out."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Filters:
    """Which chunks a search may see. Every field narrows; an empty `collections` admits nothing at all."""

    collections: tuple[UUID, ...]
    """The collections the caller may read and asked for: the scope. Never left out."""
    sources: tuple[UUID, ...] | None = None
    media_types: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    """Documents that carry one of these."""
    since: datetime | None = None
    """Texts taken in at this moment or later."""
    until: datetime | None = None
    """Texts taken in before this moment."""

    @property
    def narrows_documents(self) -> bool:
        """Whether anything but the collection is asked of a document."""
        return any(each is not None for each in (self.sources, self.media_types, self.tags, self.since, self.until))


@dataclass(frozen=True)
class Hit:
    """A chunk one search found. Scores are comparable within one search only; higher is better."""

    chunk_id: UUID
    score: float

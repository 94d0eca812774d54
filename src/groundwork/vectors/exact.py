"""An exact vector index in memory: the deterministic double, and the yardstick for the recall of the others."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from groundwork.candidates import Filters, Hit


@dataclass(frozen=True)
class Entry:
    """One embedded chunk. `vector` is float32 of shape (dimension,) and unit length."""

    chunk_id: UUID
    space: int
    collection_id: UUID
    vector: NDArray[np.float32]
    source_id: UUID | None = None
    media_type: str = "text/plain"
    document_id: UUID | None = None
    tags: tuple[str, ...] = ()
    live_since: datetime | None = None


class ExactVectorIndex:
    """Compares the question with every entry."""

    derived = True

    def __init__(self) -> None:
        self._entries: dict[tuple[int, UUID], Entry] = {}

    def add(self, entry: Entry) -> None:
        """Adds or replaces an entry."""
        self._entries[entry.space, entry.chunk_id] = entry

    async def search(self, space: int, vector: NDArray[np.float32], filters: Filters, limit: int) -> list[Hit]:
        """The nearest entries by cosine, best first."""
        admitted = [entry for entry in self._entries.values() if entry.space == space and _admits(filters, entry)]
        hits = [Hit(entry.chunk_id, float(entry.vector @ vector)) for entry in admitted]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    async def prepare(self, space: int, dimension: int) -> bool:
        """Nothing to build."""
        return True

    async def rebuild(self, space: int, dimension: int) -> None:
        """Nothing to build."""

    async def count_document(self, document_id: UUID) -> int:
        """How many entries a document has."""
        return sum(1 for entry in self._entries.values() if entry.document_id == document_id)

    async def ids(self, space: int) -> AsyncIterator[UUID]:
        """The chunks held of a space, ascending."""
        for each in sorted(chunk_id for held, chunk_id in self._entries if held == space):
            yield each

    async def forget(self, space: int) -> None:
        """Removes the entries of a space."""
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] != space}

    async def ping(self) -> None:
        """Always answers."""


def _admits(filters: Filters, entry: Entry) -> bool:
    return (
        entry.collection_id in filters.collections
        and (filters.sources is None or entry.source_id in filters.sources)
        and (filters.media_types is None or entry.media_type in filters.media_types)
        and (filters.tags is None or not set(filters.tags).isdisjoint(entry.tags))
        and (filters.since is None or (entry.live_since is not None and entry.live_since >= filters.since))
        and (filters.until is None or (entry.live_since is not None and entry.live_since < filters.until))
    )

"""BM25 in memory: the deterministic double, with the formula written out.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with k1 = 1.2, b = 0.75.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from uuid import UUID

from groundwork.candidates import Filters, Hit
from groundwork.lexical import Entry

_K1 = 1.2
_B = 0.75


class MemoryLexicalIndex:
    """Scores every entry for every question."""

    def __init__(self) -> None:
        self._entries: dict[UUID, Entry] = {}
        self._pending: dict[UUID, Entry] = {}

    def search(self, question: str, filters: Filters, limit: int) -> list[Hit]:
        """The best entries by BM25, best first."""
        bags = {chunk_id: Counter(_words(f"{entry.title}\n{entry.text}")) for chunk_id, entry in self._entries.items()}
        mean = sum(bag.total() for bag in bags.values()) / max(1, len(bags))
        hits = [
            Hit(chunk_id, score)
            for chunk_id, bag in bags.items()
            if _admits(filters, self._entries[chunk_id])
            and (score := sum(_score(word, bag, bags, mean) for word in _words(question))) > 0
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def replace(self, documents: Iterable[UUID], entries: Iterable[Entry]) -> None:
        """Forgets the chunks of `documents` and takes `entries` in."""
        gone = set(documents)
        self._pending = {key: entry for key, entry in self._pending.items() if entry.document_id not in gone}
        self._pending |= {entry.chunk_id: entry for entry in entries}

    def commit(self) -> None:
        """Makes what was replaced visible."""
        self._entries = dict(self._pending)

    def refresh(self) -> None:
        """Nothing is written elsewhere."""

    def count(self) -> int:
        """How many chunks are held."""
        return len(self._entries)

    def count_document(self, document_id: UUID) -> int:
        """How many chunks of a document are held."""
        return sum(1 for entry in self._entries.values() if entry.document_id == document_id)

    def ids(self) -> Iterator[UUID]:
        """The chunks held, ascending."""
        return iter(sorted(self._entries))

    def close(self) -> None:
        """Nothing is held."""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _score(word: str, bag: Counter[str], bags: dict[UUID, Counter[str]], mean: float) -> float:
    holding = sum(1 for other in bags.values() if word in other)
    idf = math.log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
    frequency = bag[word]
    return idf * frequency * (_K1 + 1) / (frequency + _K1 * (1 - _B + _B * bag.total() / mean))


def _admits(filters: Filters, entry: Entry) -> bool:
    return (
        entry.collection_id in filters.collections
        and (filters.sources is None or entry.source_id in filters.sources)
        and (filters.media_types is None or entry.media_type in filters.media_types)
        and (filters.tags is None or not set(filters.tags).isdisjoint(entry.tags))
        and (filters.since is None or (entry.live_since is not None and entry.live_since >= filters.since))
        and (filters.until is None or (entry.live_since is not None and entry.live_since < filters.until))
    )

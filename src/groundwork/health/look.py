"""Looks at every truth and tells what breaks it. Changes nothing."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from groundwork.errors import Corrupt
from groundwork.health import drift, records
from groundwork.health.drift import Drift
from groundwork.ingest.uploads import Originals
from groundwork.lexical.follow import Follower
from groundwork.spaces import records as spaces
from groundwork.store.database import Database
from groundwork.store.jobs import Jobs
from groundwork.vectors import VectorIndex

EXAMPLES = 5
_WORD = re.compile(r"\w")
_DOCUMENTS_AT_ONCE = 20
_UPLOADS_AT_ONCE = 1_000

Told = Callable[[str, int, int | None], None]
"""Told what is being looked at, how much of it is done, and of how much (None: nobody knows)."""


@dataclass(frozen=True)
class Stored:
    """Everything that is looked at."""

    database: Database
    lexical: Follower
    vectors: VectorIndex
    originals: Originals
    jobs: Jobs


@dataclass
class Broken:
    """What breaks a truth."""

    count: int = 0
    examples: list[str] = field(default_factory=list[str])

    def note(self, example: str) -> None:
        """Counts one more."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


@dataclass
class Seen:
    """What a look found, by the name of the truth; and what mending needs of it."""

    broken: dict[str, Broken] = field(default_factory=dict[str, Broken])
    badly_split: list[UUID] = field(default_factory=list[UUID])
    """Documents with passages that are not the text at their span, or that leave words out."""
    lexical: Drift = field(default_factory=Drift)
    lexical_unreadable: bool = False
    vectors: Drift = field(default_factory=Drift)

    def count(self, *names: str) -> int:
        """How much breaks these truths."""
        return sum(self.broken[name].count for name in names if name in self.broken)


async def look(stored: Stored, told: Told) -> Seen:
    """What breaks each truth now."""
    seen = Seen()
    for name in records.OFFENDING:
        told(name.replace("_", " "), 0, None)
        seen.broken[name] = Broken(*await records.offending(stored.database, name, EXAMPLES))
    await _passages(stored.database, seen, told)
    seen.broken["stalled_jobs"] = await _stalled(stored.jobs)
    seen.broken["missing_originals"] = await _originals(stored, told)
    told("lexical index", 0, None)
    await _lexical(stored, seen)
    if stored.vectors.derived:
        told("vector index", 0, None)
        await _vectors(stored, seen)
    return seen


async def _passages(database: Database, seen: Seen, told: Told) -> None:
    """Compares every live text with its passages, here: the database would read a long text anew for each of them."""
    not_there, left_out = Broken(), Broken()
    last, done = UUID(int=0), 0
    while documents := await records.live_documents(database, last, _DOCUMENTS_AT_ONCE):
        last = documents[-1]
        for uri, document_id, text, starts, ends, passages in await records.spans(database, documents):
            spans = list(zip(starts, ends, strict=True))
            wrong = [start for (start, end), own in zip(spans, passages, strict=True) if text[start:end] != own]
            gaps = _gaps(text, spans)
            for broken, places in ((not_there, wrong), (left_out, gaps)):
                for place in places:
                    broken.note(f"{uri} (at character {place})")
            if wrong or gaps:
                seen.badly_split.append(document_id)
        done += len(documents)
        told("passages and their texts, documents", done, None)
    seen.broken |= {"passage_not_at_span": not_there, "words_without_passage": left_out}


def _gaps(text: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Where words stand that are in none of the spans; these are in the order of their beginnings."""
    gaps: list[int] = []
    reached = 0
    for start, end in [*spans, (len(text), len(text))]:
        if start > reached and (word := _WORD.search(text, reached, start)):
            gaps.append(word.start())
        reached = max(reached, end)
    return gaps


async def _stalled(jobs: Jobs) -> Broken:
    stalled = await jobs.page(status="stalled", limit=500)
    return Broken(len(stalled), [f"{each['title']} ({each['id']})" for each in stalled[:EXAMPLES]])


async def _originals(stored: Stored, told: Told) -> Broken:
    broken = Broken()
    last, done = UUID(int=0), 0
    while rows := await records.originals_of_uploads(stored.database, last, _UPLOADS_AT_ONCE):
        last = rows[-1][0]
        there = await asyncio.to_thread(lambda: [stored.originals.has(row[2]) for row in rows])
        for row, kept in zip(rows, there, strict=True):
            if not kept:
                broken.note(f"{row[1]} ({row[0]})")
        done += len(rows)
        told("originals of uploads", done, None)
    return broken


async def _lexical(stored: Stored, seen: Seen) -> None:
    try:
        seen.lexical = await drift.settled_drift(
            stored.database, lambda: drift.paged(stored.lexical.index.ids()), stored.lexical.catch_up
        )
    except Corrupt as error:
        seen.lexical_unreadable = True
        seen.broken["lexical_missing"] = Broken(1, [error.message])
        return
    _note_drift(seen, "lexical", seen.lexical)


async def _vectors(stored: Stored, seen: Seen) -> None:
    space = await spaces.live(stored.database)
    if space is None:
        return

    async def settle() -> None:
        await stored.vectors.prepare(space.id, space.model.dimension)

    seen.vectors = await drift.settled_drift(stored.database, lambda: stored.vectors.ids(space.id), settle)
    _note_drift(seen, "vectors", seen.vectors)


def _note_drift(seen: Seen, index: str, found: Drift) -> None:
    seen.broken[f"{index}_missing"] = Broken(found.missing_count, [str(each) for each in found.missing[:EXAMPLES]])
    seen.broken[f"{index}_extra"] = Broken(found.extra_count, [str(each) for each in found.extra[:EXAMPLES]])

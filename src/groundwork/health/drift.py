"""How a derived index differs from the record: two streams of ids in order, compared page by page."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from groundwork.health import records
from groundwork.store.database import Database

_PAGE = 10_000
MOST_KEPT = 5_000
"""Ids kept of each kind; what is more is counted only."""


@dataclass
class Drift:
    """What one side holds and the other does not."""

    missing: list[UUID] = field(default_factory=list[UUID])
    """Passages that the index lacks."""
    extra: list[UUID] = field(default_factory=list[UUID])
    """Ids in the index that no passage has."""
    missing_count: int = 0
    extra_count: int = 0

    def lacks(self, chunk: UUID) -> None:
        """Notes a passage that the index lacks."""
        self.missing_count += 1
        if len(self.missing) < MOST_KEPT:
            self.missing.append(chunk)

    def has_over(self, chunk: UUID) -> None:
        """Notes an id that no passage has."""
        self.extra_count += 1
        if len(self.extra) < MOST_KEPT:
            self.extra.append(chunk)

    def __bool__(self) -> bool:
        return bool(self.missing_count or self.extra_count)


async def settled_drift(
    database: Database, ids: Callable[[], AsyncIterator[UUID]], settle: Callable[[], Awaitable[object]]
) -> Drift:
    """The drift of an index, once it had the time to follow: what changes while it is compared is no drift."""
    await settle()
    drift = await _drift(database, ids())
    for _ in range(2):
        if not drift:
            return drift
        await settle()
        drift = _in_both(drift, await _drift(database, ids()))
    return drift


async def paged(ids: Iterator[UUID]) -> AsyncGenerator[UUID]:
    """A blocking stream, read in threads."""
    while page := await asyncio.to_thread(lambda: list(islice(ids, _PAGE))):
        for each in page:
            yield each


async def _drift(database: Database, held: AsyncIterator[UUID]) -> Drift:
    drift = Drift()
    ours = _record(database)
    chunk, indexed = await anext(ours, None), await anext(held, None)
    while chunk is not None or indexed is not None:
        if chunk == indexed:
            chunk, indexed = await anext(ours, None), await anext(held, None)
        elif indexed is None or (chunk is not None and chunk < indexed):
            assert chunk is not None
            drift.lacks(chunk)
            chunk = await anext(ours, None)
        else:
            drift.has_over(indexed)
            indexed = await anext(held, None)
    return drift


async def _record(database: Database) -> AsyncGenerator[UUID]:
    last = UUID(int=0)
    while page := await records.chunk_ids(database, last, _PAGE):
        for last in page:
            yield last


def _in_both(before: Drift, now: Drift) -> Drift:
    both = Drift()
    for chunk in sorted(set(before.missing) & set(now.missing)):
        both.lacks(chunk)
    for chunk in sorted(set(before.extra) & set(now.extra)):
        both.has_over(chunk)
    if len(now.missing) == MOST_KEPT:
        both.missing_count = now.missing_count
    if len(now.extra) == MOST_KEPT:
        both.extra_count = now.extra_count
    return both

"""Vectors for every chunk that has none in a space, a batch at a time, while ingestion and searches go on."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.errors import ForeignKeyViolation

from groundwork.errors import Conflict
from groundwork.spaces import records
from groundwork.spaces.active import ActiveSpace
from groundwork.spaces.passages import passage_text
from groundwork.spaces.records import Lacking, Vector
from groundwork.store.database import Database

Report = Callable[[Mapping[str, Any]], None]
"""Takes the progress of a running job; raises when it should stop."""

BATCH = 64
"""Chunks embedded together and then kept: what a crash can cost, and how long a search may meet a busy processor."""

_AGAIN_SECONDS = 0.2


@dataclass
class Filled:
    """What was written."""

    embedded: int = 0
    reused: int = 0


@dataclass(frozen=True)
class Filler:
    """Fills one space. `share` is the part of the time that it computes, above 0 up to 1."""

    database: Database
    space: ActiveSpace
    share: float
    report: Report

    async def fill(self) -> Filled:
        """Goes over all chunks until a pass finds none without a vector. Raises what the embedder and `report` raise."""
        filled = Filled()
        while True:
            if not await self.one_pass(filled):
                return filled
            await asyncio.sleep(_AGAIN_SECONDS)

    async def one_pass(self, filled: Filled) -> int:
        """Goes over all chunks once; how many had no vector."""
        total, vectors = await records.counts(self.database)
        had = vectors.get(self.space.id, 0)
        found = 0
        after = UUID(int=0)
        while batch := await self._next(after):
            self.report({"step": "embedding", "done": had + found, "total": max(total, had + found + len(batch))})
            await self._take(batch, filled)
            found += len(batch)
            after = batch[-1].chunk_id
        self.report({"step": "embedding", "done": had + found, "total": max(total, had + found)})
        return found

    async def _next(self, after: UUID) -> list[Lacking]:
        row = await records.by_id(self.database, self.space.id)
        if row is None or row.state == "dropping":
            raise self._dropped()
        async with self.database.transaction() as connection:
            return await records.lacking(connection, self.space.id, after, BATCH)

    async def _take(self, batch: Sequence[Lacking], filled: Filled) -> None:
        vectors = await records.known_vectors(self.database, self.space.id, {each.embed_hash for each in batch})
        unknown = list({each.embed_hash: each for each in batch if each.embed_hash not in vectors}.values())
        began = time.monotonic()
        computed = await compute(self.space, unknown)
        pause = (time.monotonic() - began) * (1 / self.share - 1)
        vectors |= {each.embed_hash: vector for each, vector in zip(unknown, computed, strict=True)}
        await self._write([(each.chunk_id, vectors[each.embed_hash]) for each in batch])
        filled.embedded += len(unknown)
        filled.reused += len(batch) - len(unknown)
        await asyncio.sleep(pause)

    async def _write(self, vectors: Sequence[tuple[UUID, Vector]]) -> None:
        try:
            async with self.database.transaction() as connection:
                await records.add_vectors(connection, self.space.id, vectors)
        except ForeignKeyViolation:
            raise self._dropped() from None

    def _dropped(self) -> Conflict:
        return Conflict(f"Space {self.space.name} has been dropped.")


async def compute(space: ActiveSpace, chunks: Sequence[Lacking]) -> list[Vector]:
    """The vectors of chunks in a space."""
    if not chunks:
        return []
    texts = [passage_text(each.title, each.heading_path, each.text) for each in chunks]
    return list(await asyncio.to_thread(space.embedder.embed_passages, texts))

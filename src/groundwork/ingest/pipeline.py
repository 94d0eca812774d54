"""Items in, published documents out: preparing, embedding and publishing overlap, and memory stays bounded.

    items -> prepare (threads) -> [queue] -> embed a window of chunks -> [queue] -> publish in one transaction

Nothing of a document is visible before its publication commits. A run cut off anywhere is finished by the next one,
which finds what was published by content hash.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundwork.ingest import records
from groundwork.ingest.items import Failed, Item, Known, Outcome, Prepared, Unchanged
from groundwork.ingest.prepare import Preparer
from groundwork.ingest.records import Destination, Publication, SpaceMoved
from groundwork.ingest.steps import Steps
from groundwork.spaces import records as spaces
from groundwork.spaces.active import ActiveSpace
from groundwork.spaces.passages import passage_hash
from groundwork.store.database import Database

_PREPARE_BATCH = 16
_PREPARE_THREADS = 2
_TELL_SECONDS = 0.25
_WINDOW_CHUNKS = 256
"""Chunks embedded together: enough to sort by length and keep every core busy, few enough to lose by a crash."""

_REQUEST_CHUNKS = 64
"""The same for a model behind a server: what one request holds, since its answer is paid for and may take long."""


@dataclass
class Tally:
    """What became of the items so far."""

    done: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    chunks: int = 0
    embedded: int = 0
    reused: int = 0
    computed: int = 0
    """Passages embedded and kept, whether or not their documents are published yet."""
    failures: list[Failed] = field(default_factory=list[Failed])
    steps: Steps = field(default_factory=Steps)

    def progress(self, total: int) -> dict[str, Any]:
        """As a job shows it, `total` documents being offered; `now` counts those in each step at this moment."""
        now = self.steps.now()
        return {
            "step": max(now, key=now.__getitem__, default="publish" if self.done else "fetch"),
            "now": now,
            "done": self.done,
            "total": total,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "chunks": self.chunks,
            "embedded": self.embedded,
            "computed": self.computed,
        }


Progress = Callable[[Tally], None]


@dataclass(frozen=True)
class Pipeline:
    """The stages and what they need. One `run` is one pass over some items of one destination."""

    database: Database
    preparer: Preparer
    space: Callable[[], ActiveSpace]
    refresh: Callable[[], Awaitable[ActiveSpace]]
    """Finds out which space is live by now."""
    ensure_room: Callable[[], None] = lambda: None
    """Raises Unavailable when there is no room for more."""

    async def run(
        self, items: Iterable[Item], known: Mapping[str, Known], destination: Destination, progress: Progress
    ) -> Tally:
        """Takes every item in; `progress` is told now and then. Raises what the database and `progress` raise."""
        tally = Tally()
        prepared: asyncio.Queue[list[Outcome] | None] = asyncio.Queue(4)
        ready: asyncio.Queue[list[Publication | Failed | Unchanged] | None] = asyncio.Queue(2)
        threads = ThreadPoolExecutor(_PREPARE_THREADS, thread_name_prefix="prepare")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._prepare(items, known, threads, tally.steps, prepared))
                group.create_task(self._embed(prepared, tally, ready))
                telling = group.create_task(_tell(tally, progress))
                await self._publish(ready, known, destination, tally, progress)
                telling.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        return tally

    async def _prepare(
        self,
        items: Iterable[Item],
        known: Mapping[str, Known],
        threads: ThreadPoolExecutor,
        steps: Steps,
        out: asyncio.Queue[list[Outcome] | None],
    ) -> None:
        batches = _batched(iter(items), _PREPARE_BATCH)

        async def work() -> None:
            for batch in batches:
                loop = asyncio.get_running_loop()
                outcomes = await loop.run_in_executor(threads, self._prepare_batch, batch, known, steps)
                steps.move(len(_prepared(outcomes)), None, "embed")
                await out.put(outcomes)

        async with asyncio.TaskGroup() as group:
            for _ in range(_PREPARE_THREADS):
                group.create_task(work())
        await out.put(None)

    def _prepare_batch(self, batch: list[Item], known: Mapping[str, Known], steps: Steps) -> list[Outcome]:
        return [self.preparer.prepare(item, known, steps) for item in batch]

    async def _embed(
        self,
        source: asyncio.Queue[list[Outcome] | None],
        tally: Tally,
        out: asyncio.Queue[list[Publication | Failed | Unchanged] | None],
    ) -> None:
        window: list[Prepared] = []

        async def pass_on() -> None:
            publications = await self.embed(window, self.space(), tally)
            tally.steps.move(len(window), "embed", "publish")
            await out.put([*publications])
            window.clear()

        while (outcomes := await source.get()) is not None:
            others: list[Publication | Failed | Unchanged] = [
                each for each in outcomes if not isinstance(each, Prepared)
            ]
            if others:
                await out.put(others)
            window += _prepared(outcomes)
            if sum(len(each.chunks) for each in window) >= _WINDOW_CHUNKS:
                await pass_on()
        if window:
            await pass_on()
        await out.put(None)

    async def embed(
        self, documents: Sequence[Prepared], space: ActiveSpace, tally: Tally | None = None
    ) -> list[Publication]:
        """Vectors for a window of documents: known ones by hash, each other passage computed once."""
        self.ensure_room()
        passages = [document.passages() for document in documents]
        hashes = [[passage_hash(text) for text in texts] for texts in passages]
        texts = dict(zip(itertools.chain(*hashes), itertools.chain(*passages), strict=True))
        vectors = await spaces.known_vectors(self.database, space.id, texts)
        missing = [digest for digest in texts if digest not in vectors]
        if missing:
            vectors |= await self._compute(missing, texts, space, tally or Tally())
        fresh = set(missing)
        return [
            Publication(
                document, space.id, _stack(digests, vectors), digests, sum(digest in fresh for digest in digests)
            )
            for document, digests in zip(documents, hashes, strict=True)
        ]

    async def _compute(
        self, missing: list[bytes], texts: Mapping[bytes, str], space: ActiveSpace, tally: Tally
    ) -> dict[bytes, NDArray[np.float32]]:
        """Vectors of passages nobody has computed yet, checkpointed batch by batch."""
        vectors: dict[bytes, NDArray[np.float32]] = {}
        size = _WINDOW_CHUNKS if space.embedder.in_process else _REQUEST_CHUNKS
        for at in range(0, len(missing), size):
            self.ensure_room()
            batch = missing[at : at + size]
            computed = await asyncio.to_thread(space.embedder.embed_passages, [texts[digest] for digest in batch])
            pairs = list(zip(batch, computed, strict=True))
            async with self.database.transaction() as connection:
                await spaces.checkpoint(connection, space.id, pairs)
            vectors |= dict(pairs)
            tally.computed += len(pairs)
        return vectors

    async def _publish(
        self,
        source: asyncio.Queue[list[Publication | Failed | Unchanged] | None],
        known: Mapping[str, Known],
        destination: Destination,
        tally: Tally,
        progress: Progress,
    ) -> None:
        while (batch := await source.get()) is not None:
            publications = [each for each in batch if isinstance(each, Publication)]
            failures = [each for each in batch if isinstance(each, Failed)]
            if publications or failures:
                publications = await self._write(publications, _to_record(failures, known), destination)
            tally.steps.move(len(publications), "publish", None)
            _count(tally, known, publications, failures, len(batch))
            progress(tally)

    async def _write(
        self, publications: list[Publication], failures: Sequence[Failed], destination: Destination
    ) -> list[Publication]:
        """Publishes in one transaction, with vectors of whichever space is live by then; what was published."""
        while True:
            try:
                async with self.database.transaction() as connection:
                    await records.publish(connection, destination, publications)
                    for failed in failures:
                        await records.record_failure(connection, destination, failed)
                return publications
            except SpaceMoved:
                space = await self.refresh()
                publications = await self.embed([each.document for each in publications], space)


async def _tell(tally: Tally, progress: Progress) -> None:
    while True:
        progress(tally)
        await asyncio.sleep(_TELL_SECONDS)


def _prepared(outcomes: Iterable[Outcome]) -> list[Prepared]:
    return [each for each in outcomes if isinstance(each, Prepared)]


def _to_record(failures: Iterable[Failed], known: Mapping[str, Known]) -> list[Failed]:
    """Those that say something of the document; a source that did not answer leaves a document that is ready alone."""
    ready = {uri for uri, each in known.items() if each.status == "ready"}
    return [each for each in failures if not (each.passing and each.uri in ready)]


def _count(
    tally: Tally, known: Mapping[str, Known], publications: list[Publication], failures: list[Failed], total: int
) -> None:
    tally.done += total
    tally.unchanged += total - len(publications) - len(failures)
    tally.failed += len(failures)
    tally.failures += failures
    for each in publications:
        if each.document.uri in known:
            tally.updated += 1
        else:
            tally.added += 1
        tally.chunks += len(each.document.chunks)
        tally.embedded += each.embedded
        tally.reused += len(each.document.chunks) - each.embedded


def _stack(digests: list[bytes], vectors: Mapping[bytes, NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack([vectors[digest] for digest in digests]) if digests else np.empty((0, 0), np.float32)


def _batched(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(itertools.islice(items, size)):
        yield batch

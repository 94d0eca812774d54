"""Embedding spaces as people handle them: registered, built, switched to, switched back, dropped."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from groundwork.clock import utc_now
from groundwork.embedders import Model
from groundwork.errors import Busy, Conflict, Invalid, NotFound
from groundwork.settings import Settings
from groundwork.spaces import records
from groundwork.spaces.active import ActiveSpace, ActiveSpaces, OpenEmbedder
from groundwork.spaces.config import SpaceConfig, asked_for, check_name, embedder_settings
from groundwork.spaces.fill import BATCH, Filled, Filler, Report, compute
from groundwork.spaces.records import SpaceRow
from groundwork.store import statistics
from groundwork.store.database import Database
from groundwork.store.jobs import BULK, Jobs, Order
from groundwork.vectors import VectorIndex

_CATCH_UP = 1000
"""Passages a switch embeds itself; when more have come in since the build, it asks for another one."""
_CATCH_UP_PASSES = 5
_FINAL_BATCHES = 64
_AGAIN_SECONDS = 0.02

_LEAVE_SECONDS = 5.0
"""How long a space is kept after it was live: every process has noticed the switch and ended its searches by then."""
_DROP_BATCH = 2000
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class NewSpace:
    """A space to be registered. What is None is as the settings have it."""

    name: str
    kind: str
    url: str | None = None
    model: str | None = None
    dimension: int | None = None
    max_tokens: int | None = None


class Spaces:
    """The embedding spaces of this installation."""

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        vectors: VectorIndex,
        settings: Settings,
        active: ActiveSpaces,
        open_embedder: OpenEmbedder,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._vectors = vectors
        self._settings = settings
        self._active = active
        self._open_embedder = open_embedder

    async def page(self) -> dict[str, Any]:
        """Every space, oldest first; there are few, so one page holds them."""
        total, vectors = await records.counts(self._database)
        rows = await records.every(self._database)
        return {"items": [_body(row, total, vectors) for row in rows], "next_cursor": None}

    async def show(self, name: str) -> dict[str, Any]:
        """One space. Raises NotFound."""
        return _body(await self.find(name), *await records.counts(self._database))

    async def find(self, name: str) -> SpaceRow:
        """The space of that name. Raises NotFound."""
        row = await records.by_name(self._database, name)
        if row is None:
            raise NotFound(f"There is no embedding space {name!r}. `groundwork spaces list` lists those there are.")
        return row

    async def create(self, new: NewSpace) -> dict[str, Any]:
        """Registers a space, once its embedder has answered; nothing is built yet.

        Raises Invalid, Conflict when the name is taken, Unavailable when the embedder does not answer.
        """
        check_name(new.name)
        config = asked_for(self._settings.embedder, new.kind, new.url, new.model, new.dimension, new.max_tokens)
        model = await asyncio.to_thread(self._probe, new.name, config)
        async with self._database.transaction() as connection:
            if not await records.insert(connection, new.name, model, config):
                raise Conflict(f"There is an embedding space named {new.name!r} already. Choose another name.")
        return await self.show(new.name)

    async def set_address(self, name: str, url: str | None, max_tokens: int | None) -> dict[str, Any]:
        """Changes where the model of a space is served. Raises NotFound, Invalid, and what `create` raises."""
        row = await self.find(name)
        if row.config is None or row.config.kind != "openai":
            raise Invalid(f"Space {name} has no address: its model runs here.")
        old = row.config
        config = asked_for(
            self._settings.embedder,
            old.kind,
            url or old.url,
            old.model,
            old.dimension,
            max_tokens or old.max_tokens,
        )
        await asyncio.to_thread(self._probe, name, config)
        async with self._database.transaction() as connection:
            await records.set_config(connection, row.id, config)
        return await self.show(name)

    async def queue_build(self, name: str, queue: str = BULK) -> dict[str, Any]:
        """Queues the build of a space, or hurries on one that waits; the job. Raises NotFound, Conflict."""
        row = await self.find(name)
        if row.state == "dropping":
            raise Conflict(f"Space {name} is being dropped.")
        return await self._queue("space_build", "Build space", row, queue)

    async def build(self, space: int, report: Report) -> Mapping[str, Any]:
        """Embeds every passage that has no vector in a space, and builds its index; goes on where it was cut off.

        Raises NotFound when the space is gone, and what its embedder and `report` raise.
        """
        row = await self._by_id(space)
        opened = await self._active.open(row)
        filler = Filler(self._database, opened, self._settings.worker.build_share, report)
        filled = await filler.fill()
        report({"step": "indexing", "done": 0, "total": None})
        while not await self._vectors.prepare(row.id, row.model.dimension):
            await asyncio.sleep(_LOOK_SECONDS)
            report({"step": "waiting for another index", "done": 0, "total": None})
        await statistics.refresh(self._database)
        last = await filler.fill()  # what came in while the index was built
        async with self._database.transaction() as connection:
            await records.set_state(connection, row.id, "ready", ["building"])
        body = await self.show(row.name)
        return {**body, "embedded_now": filled.embedded + last.embedded, "reused_now": filled.reused + last.reused}

    async def candidate(self, name: str) -> ActiveSpace:
        """A space that is built, opened to be searched in. Raises NotFound, Conflict."""
        row = await self.find(name)
        _check_built(row)
        return await self._active.open(row)

    async def switch(self, name: str) -> dict[str, Any]:
        """Makes a built space the live one, in one transaction, and lets every process know; the space.

        What came in since it was built is embedded first. Publications wait for the last of that, searches never.
        Raises NotFound, Conflict when it is not complete, Unavailable when its embedder does not answer.
        """
        row = await self.find(name)
        if row.live:
            return await self.show(name)
        _check_built(row)
        space = await self._active.open(row)
        await self._catch_up(space)
        await self._go_live(space)
        await self._active.adopt(space)
        return await self.show(name)

    async def queue_drop(self, name: str, queue: str = BULK) -> dict[str, Any]:
        """Queues the removal of a space with its vectors; the job. Raises NotFound, Conflict for the live one."""
        row = await self.find(name)
        _check_not_live(row)
        return await self._queue("space_drop", "Drop space", row, queue)

    async def drop(self, space: int, report: Report) -> Mapping[str, Any]:
        """Removes a space with its index and vectors; goes on where it was cut off. A build of it ends.

        Raises NotFound, Conflict for the live one.
        """
        row = await self._by_id(space)
        async with self._database.transaction() as connection:
            await records.lock_switch(connection)
            if not await records.set_state(connection, space, "dropping", ["building", "ready", "retired", "dropping"]):
                raise _is_live(row)
        if row.live_until is not None:
            await asyncio.sleep(_LEAVE_SECONDS - (utc_now() - row.live_until).total_seconds())
        await self._vectors.forget(space)
        removed = await self._remove_vectors(space, report)
        async with self._database.transaction() as connection:
            await records.delete(connection, space)
        return {"name": row.name, "removed": removed}

    async def _queue(self, kind: str, title: str, row: SpaceRow, queue: str) -> dict[str, Any]:
        """Queues a job on a space, or hurries on the same one that waits."""
        lock = f"{kind}:{row.id}"
        await self._jobs.rescue_orphans()
        async with self._database.transaction() as connection:
            waiting = await self._jobs.adopt_waiting(connection, lock, queue)
            order = Order(kind, f"{title} {row.name}", {"space": row.id}, queue, lock)
            job_id = waiting or await self._jobs.enqueue(connection, order)
        return await self._jobs.show(job_id)

    def _probe(self, name: str, config: SpaceConfig) -> Model:
        """The model behind a configuration, once it has answered a question."""
        embedder = self._open_embedder(embedder_settings(name, config, self._settings.embedder))
        try:
            embedder.embed_query("ready")
            return embedder.model
        finally:
            embedder.close()

    async def _catch_up(self, space: ActiveSpace) -> None:
        lacking = await records.count_lacking(self._database, space.id, _CATCH_UP + 1)
        if lacking > _CATCH_UP:
            raise Conflict(
                f"Space {space.name} is not complete: more than {_CATCH_UP:,} passages have come in since it was built. "
                f"Run `groundwork spaces build {space.name}` again, then switch."
            )
        filler = Filler(self._database, space, 1.0, lambda progress: None)
        for _ in range(_CATCH_UP_PASSES):
            if await filler.one_pass(Filled()) <= BATCH:
                return

    async def _go_live(self, space: ActiveSpace) -> None:
        async with self._database.transaction() as connection:
            await records.lock_switch(connection)
            for _ in range(_FINAL_BATCHES):
                batch = await records.lacking(connection, space.id, UUID(int=0), BATCH)
                if not batch:
                    break
                vectors = await compute(space, batch)
                pairs = list(zip((each.chunk_id for each in batch), vectors, strict=True))
                await records.add_vectors(connection, space.id, pairs)
                await asyncio.sleep(_AGAIN_SECONDS)  # chunks that are being removed were passed over
            else:
                raise Busy("Documents come and go too fast just now. Nothing was switched; try again in a moment.")
            if not await records.make_live(connection, space.id):
                raise Conflict(f"Space {space.name} was dropped meanwhile. Nothing was switched.")

    async def _remove_vectors(self, space: int, report: Report) -> int:
        _, vectors = await records.counts(self._database)
        total, removed, after = vectors.get(space, 0), 0, UUID(int=0)
        while True:
            report({"step": "removing vectors", "done": removed, "total": max(total, removed)})
            async with self._database.transaction() as connection:
                gone = await records.remove_vectors(connection, space, after, _DROP_BATCH)
            if not gone:
                return removed
            removed += len(gone)
            after = gone[-1]

    async def _by_id(self, space: int) -> SpaceRow:
        row = await records.by_id(self._database, space)
        if row is None:
            raise NotFound("The embedding space has been dropped.")
        return row


def _body(row: SpaceRow, total: int, vectors: Mapping[int, int]) -> dict[str, Any]:
    config = row.config
    have = vectors.get(row.id, 0)
    return {
        "name": row.name,
        "status": "live" if row.live else row.state,
        "kind": config.kind if config else None,
        "model": row.model.name,
        "revision": row.model.revision,
        "dimension": row.model.dimension,
        "url": config.url if config else None,
        "max_tokens": config.max_tokens if config else None,
        "passages": total,
        "embedded": have,
        "missing": max(0, total - have),
        "created_at": row.created_at.isoformat(),
    }


def _check_built(row: SpaceRow) -> None:
    if not row.live and row.state not in {"ready", "retired"}:
        raise Conflict(
            f"Space {row.name} is not complete ({row.state}). Run `groundwork spaces build {row.name}` to its end first."
        )


def _check_not_live(row: SpaceRow) -> None:
    if row.live:
        raise _is_live(row)


def _is_live(row: SpaceRow) -> Conflict:
    return Conflict(f"Space {row.name} is the one searches use. Switch to another before you drop it.")

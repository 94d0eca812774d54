"""Settings in, a Platform out.

Every face gets one `Platform` and makes the same calls. What is slow to start (the model, the lexical index) is
started by `ready`, so that a command which does not search does not wait for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from groundwork.access import privacy
from groundwork.access.audit import log
from groundwork.access.house import Access
from groundwork.access.scope import ANYONE, OPERATOR, Caller
from groundwork.answer.ask import Asker
from groundwork.answer.dialogue import Dialogue, Dialogues
from groundwork.answer.events import Event
from groundwork.answer.generate import Generator
from groundwork.assembly import adapters, reading
from groundwork.assembly.measured import Measured
from groundwork.budgets.meter import Budgets
from groundwork.caches.windows import SlidingMinute
from groundwork.clock import utc_now
from groundwork.embedders import Embedder
from groundwork.errors import Conflict, NotFound
from groundwork.evaluate import compare, history
from groundwork.evaluate import run as evaluation
from groundwork.health import checkup, components
from groundwork.health.look import Stored
from groundwork.health.mend import Means
from groundwork.ingest import records as ingest_records
from groundwork.ingest import registry, sync
from groundwork.ingest.items import Item
from groundwork.ingest.names import check_collection_name
from groundwork.ingest.pipeline import Pipeline
from groundwork.ingest.portable import exchange
from groundwork.ingest.portable.read import open_portable
from groundwork.ingest.portable.save import Progress as Told
from groundwork.ingest.portable.save import untold
from groundwork.ingest.records import Destination
from groundwork.ingest.upkeep import removal
from groundwork.ingest.upkeep.labels import Relabel, relabel
from groundwork.ingest.uploads import Originals, Uploads
from groundwork.llms.breakers import Breakers
from groundwork.llms.guard import Guards
from groundwork.retrieve import scope
from groundwork.retrieve.catalog import Catalog
from groundwork.retrieve.request import Request, question, settled
from groundwork.retrieve.search import Found, Mode, Searcher
from groundwork.sessions.conversations import Sessions
from groundwork.settings import Settings
from groundwork.spaces.active import ActiveSpace, ActiveSpaces
from groundwork.spaces.registry import Spaces
from groundwork.store import migrate, statistics
from groundwork.store.database import Database
from groundwork.store.embedded import EmbeddedServer
from groundwork.store.jobs import Jobs
from groundwork.store.reach import reach
from groundwork.store.room import ensure_room
from groundwork.vectors import VectorIndex
from groundwork.vectors.pgvector import PgVectorIndex


class Platform:
    """Groundwork, put together from settings. Open with `open_platform`."""

    def __init__(self, settings: Settings, database: Database, server: EmbeddedServer | None) -> None:
        self.settings = settings
        self.database = database
        self.server = server
        self.access = Access(database, settings)
        self.budgets = Budgets(database, settings.budgets)
        self.access.people.forgets.append(self.budgets.ledger.erase)
        self.cache = adapters.cache(settings.cache)
        self.sessions = Sessions(database, self.cache, settings.sessions)
        self.breakers = Breakers(database, self.cache, settings.llms)
        self._minute = SlidingMinute(settings.cache.redis_url, "requests to providers are counted")
        self.guards = Guards(self.breakers, self._minute)
        self.models = adapters.models(settings.llms, self.guards)
        self.catalog = Catalog(database)
        """As anyone sees it; `seen_by` for somebody else's view."""
        self._everything = self.catalog.seen_by(OPERATOR)
        self.vectors: VectorIndex = PgVectorIndex(database)
        self.lexical = adapters.follower(settings.data_dir / "lexical", database)
        self.jobs = Jobs(database)
        self.sources = registry.Sources(database, self.jobs, settings)
        self.uploads = Uploads(database, self.jobs, Originals(settings.data_dir / "originals"))
        self.active = ActiveSpaces(database, settings.embedder, adapters.embedder)
        self.spaces = Spaces(database, self.jobs, self.vectors, settings, self.active, adapters.embedder)

    @cached_property
    def pipeline(self) -> Pipeline:
        """Ingestion; call `ready_to_ingest` first."""
        return Pipeline(
            self.database,
            adapters.preparer(self.settings),
            lambda: self.active.current,
            self.active.refresh,
            lambda: ensure_room(self.settings.data_dir, self.settings.ingest.reserve_disk_mb),
        )

    @cached_property
    def searcher(self) -> Searcher:
        """Search; call `ready` first."""
        reranking = adapters.reranking(self.settings.reranker)
        return reading.searcher(
            self.settings, self.database, lambda: self.active.current, self.vectors, self.lexical, reranking
        )

    @cached_property
    def asker(self) -> Asker:
        """Answers; call `ready` first."""
        generator = Generator(self.models, self.budgets)
        dialogues = Dialogues(self.database, self.sessions)
        return reading.asker(
            self.settings, self.database, self.searcher, lambda: self.active.current, generator, dialogues, self.cache
        )

    @property
    def embedder(self) -> Embedder:
        """The embedder of the live space; known once `ready_to_ingest` or `ready` has returned."""
        return self.active.current.embedder

    @property
    def space(self) -> int:
        """The id of the live space, as far as this process has noticed; known as `embedder` is."""
        return self.active.current.id

    async def ready_to_ingest(self) -> None:
        """Opens the live embedding space. Raises Conflict when its model cannot be had, Unavailable."""
        await self.active.settle()

    async def ready(self, lexical_timeout: float = 30.0) -> None:
        """Makes everything ready that a search needs, and brings the lexical index up to date."""
        await asyncio.gather(
            self.searcher.warm(),  # first: a reranker that cannot be made is told before anything runs
            self.ready_to_ingest(),
            self.lexical.catch_up(lexical_timeout),
            self.models.look(),
            self.budgets.settle_lost(),
        )
        await asyncio.to_thread(self.embedder.embed_query, "ready")

    async def search(self, request: Request) -> Found:
        """Passages for a question. Raises Invalid, NotFound, Unavailable."""
        return await self.searcher.search(question(self.database, request, request.limit))

    async def ask(self, request: Request, dialogue: Dialogue | None = None) -> dict[str, Any]:
        """The body of an answer with citations. Raises Invalid, NotFound, OverBudget, Unavailable."""
        asked = question(self.database, request, self.settings.answer.passages)
        return await self.asker.ask(asked, dialogue or Dialogue(request.caller))

    async def stream(self, request: Request, dialogue: Dialogue | None = None) -> AsyncGenerator[Event]:
        """The events of one answer. Raises Invalid and NotFound before the first of them."""
        asked = await settled(question(self.database, request, self.settings.answer.passages))
        return await self.asker.stream(asked, dialogue or Dialogue(request.caller))

    async def queue_ingest(self, path: Path, collection: str, queue: str) -> dict[str, Any]:
        """Queues a sync of the source a file or folder is, adding it when it is new; the job.

        Raises NotFound when there is nothing at `path`.
        """
        check_collection_name(collection)
        path = path.expanduser().resolve()
        if not path.exists():
            raise NotFound(f"There is no file or folder at {path}. Check the path and try again.")
        return await self.sources.queue_sync(await self.sources.ensure(str(path), collection), queue)

    async def sync_source(self, source_id: UUID, report: registry.Report) -> dict[str, Any]:
        """Brings the record and every index in step with a source; what that did."""
        await self.ready_to_ingest()
        done = await self.sources.sync(self.pipeline, source_id, report)
        report({**done.tally.progress(done.found), "step": "indexing"})
        await self.settle_indexes()
        return done.body()

    async def plan_sync(self, name: str, collection: str | None) -> dict[str, Any]:
        """What a sync of a source would do; touches nothing."""
        await self.ready_to_ingest()
        return await self.sources.plan(self.pipeline, await self.sources.find(name, collection))

    async def ingest_items(self, items: list[Item], collection: str, progress: sync.Progress) -> sync.Report:
        """Brings documents that no source offers into the record and every index."""
        await self.ready_to_ingest()
        async with self.database.transaction() as connection:
            collection_id = await ingest_records.ensure_collection(connection, collection)
        report = await sync.sync(
            self.pipeline, items, Destination(collection_id, None), (collection, "items"), progress
        )
        await self.settle_indexes()
        return report

    async def accept_upload(
        self, collection: str, filename: str, content: bytes, caller: Caller = ANYONE
    ) -> dict[str, Any]:
        """Keeps an upload and queues it; its pending document. Raises NotFound for a collection hidden from `caller`."""
        check_collection_name(collection)
        await scope.refuse_hidden(self.database, caller, collection)
        document_id, job_id = await self.uploads.accept(collection, filename, content)
        return {**await self._everything.document(str(document_id)), "job_id": str(job_id)}

    async def take_upload(
        self, document_id: UUID, report: registry.Report, content_hash: bytes | None = None
    ) -> Mapping[str, Any]:
        """Takes a pending upload into the record and every index; what became of it."""
        await self.ready_to_ingest()
        result = await self.uploads.take(self.pipeline, document_id, report, content_hash)
        await self.settle_indexes()
        return result

    async def remove_source(self, name: str, collection: str | None) -> dict[str, Any]:
        """Forgets a source and removes its documents from the record and every index; what it was."""
        removed = await self.sources.remove(await self.sources.find(name, collection))
        await self.lexical.catch_up()
        return removed

    async def settle_indexes(self) -> None:
        """After documents changed: brings the derived indexes up to date."""
        await self.vectors.prepare(self.space, self.embedder.model.dimension)
        await statistics.refresh(self.database)
        await self.lexical.catch_up()

    async def compare_spaces(
        self, name: str, questions: Path | None, mode: Mode, step: evaluation.Step
    ) -> dict[str, Any]:
        """How a built space finds, against the live one, on saved questions. Raises NotFound, Conflict, Invalid."""
        candidate = await self.spaces.candidate(name)
        asked = compare.load(questions or self.settings.data_dir / "questions.jsonl")
        await self.ready()
        live = self.active.current
        contest = compare.Contest(live.name, self._finder(live, mode), candidate.name, self._finder(candidate, mode))
        report = {"mode": mode, **await compare.compare(contest, asked, step), "at": utc_now().isoformat()}
        history.save(self.settings.data_dir / "evaluations", f"spaces-{live.name}-{name}-{mode}", report)
        return report

    async def rebuild(self, progress: Callable[[int], None] | None = None) -> dict[str, int]:
        """Builds every derived index anew from the record."""
        await self.ready_to_ingest()
        await self.vectors.rebuild(self.space, self.embedder.model.dimension)
        return {"lexical": await self.lexical.rebuild(progress)}

    async def health(self) -> dict[str, Any]:
        """Every component with its state."""
        return await components.report(
            self.database, self.lexical, self.jobs, self.settings.data_dir, self.settings.ingest.reserve_disk_mb
        )

    async def check(self, mend: bool = False, progress: Told = untold) -> dict[str, Any]:
        """Looks whether what is stored is whole, and mends it when asked to; what was found and what is left."""
        stored = Stored(self.database, self.lexical, self.vectors, self.uploads.originals, self.jobs)
        folder = self.settings.data_dir / "metrics"
        if not mend:
            return (await checkup.check(stored, folder, progress)).body()
        await self.ready_to_ingest()
        means = Means(stored, self.pipeline, self.sources, self.uploads)
        return (await checkup.repair(means, folder, progress)).body()

    async def delete_document(self, document_id: str) -> dict[str, Any]:
        """Removes a document from the record and every index; what it was, and the proof that it is gone.

        Raises NotFound; Corrupt and Unavailable when it is gone from the record and an index cannot prove the same.
        """
        document = await self._everything.document(document_id)
        key = UUID(document["id"])
        async with self.database.transaction() as connection:
            original = await ingest_records.delete_document(connection, key)
        await self.uploads.drop_original(document["uri"], original)
        return {**document, "proof": await removal.prove(self.database, self.lexical, self.vectors, key)}

    async def export_collection(
        self, name: str, file: Path, replace: bool = False, progress: Told = untold
    ) -> dict[str, Any]:
        """Writes a collection into one portable file; what is in it. Raises NotFound, Conflict, Unavailable."""
        return await exchange.export_collection(self.database, name, file, replace, progress)

    async def import_collection(self, file: Path, name: str | None = None, progress: Told = untold) -> dict[str, Any]:
        """Takes a portable file into a collection, by default of the name it had; what that did.

        Raises NotFound, Invalid, Conflict, Corrupt before anything is touched.
        """
        with open_portable(file) as portable:
            name = portable.manifest.collection.name if name is None else name
            check_collection_name(name)
            await exchange.check(portable, progress)
            await self.ready_to_ingest()
            done = await exchange.import_collection(self.pipeline, portable, name, progress)
        await self.settle_indexes()
        return done

    async def relabel(self, document_id: str, change: Relabel) -> dict[str, Any]:
        """Changes tags and metadata of a document; the document. Raises Invalid, NotFound."""
        document = await self._everything.document(document_id)
        if await relabel(self.database, UUID(document["id"]), change):
            await self.lexical.catch_up()
        return await self._everything.document(document_id)

    async def delete_collection(self, name: str) -> dict[str, Any]:
        """Removes a collection with all its documents; what it was. Raises NotFound."""
        collection = await self._everything.collection(name)
        async with self.database.transaction() as connection:
            await ingest_records.delete_collection(connection, name)
        await self.lexical.catch_up()
        return collection

    async def create_collection(self, name: str, description: str = "", private: bool = False) -> dict[str, Any]:
        """A new, empty collection. Raises Conflict when the name is taken."""
        check_collection_name(name)
        async with self.database.transaction() as connection:
            if not await ingest_records.create_collection(connection, name, description, private):
                raise Conflict(f"There is a collection named {name!r} already. Choose another name, or use it.")
        return await self._everything.collection(name)

    async def set_private(self, name: str, private: bool, by: Caller) -> dict[str, Any]:
        """Says whether a collection's passages go to private models only; the collection. Raises NotFound."""
        await self.catalog.seen_by(by).collection(name)
        async with self.database.transaction() as connection:
            await ingest_records.set_private(connection, name, private)
            await log.note(connection, by.deed("privacy_changed", name, private=private))
        return await self._everything.collection(name)

    async def evaluate(
        self, folder: Path, mode: Mode, qrels: str | None, step: evaluation.Step, rerank: bool | None = None
    ) -> dict[str, Any]:
        """Measures search and answers on a BEIR folder, compared with the last time. Raises Invalid, Unavailable."""
        await self.ready()
        calls = (self.ingest_items, self.search, self.ask, self.delete_collection)
        system = Measured(*calls, self.searcher.reranker, rerank)
        report = await evaluation.evaluate(system, folder, mode, qrels, step)
        return history.compare_and_save(self.settings.data_dir / "evaluations", report, utc_now())

    async def everything_about(self, name: str, by: Caller) -> dict[str, Any]:
        """Everything that is stored about somebody, for them to see. Raises NotFound."""
        told = await privacy.everything_about(self.database, name, by)
        them = Caller(user=told["user"]["name"], roles=frozenset({told["user"]["role"]}))
        spent = await self.budgets.ledger.everything_of(them.account)
        return {**told, **spent, "sessions": await self.sessions.everything_of(them)}

    async def close(self) -> None:
        """Gives back everything, the embedded server last."""
        if "searcher" in self.__dict__:
            await self.searcher.close()
        if "pipeline" in self.__dict__:
            await asyncio.to_thread(self.pipeline.preparer.extractor.close)
        await self.models.close()
        await self.budgets.close()
        await self.access.close()
        await self.breakers.close()
        await self._minute.close()
        await self.cache.close()
        await self.active.close()
        await self.lexical.close()

    def _finder(self, space: ActiveSpace, mode: Mode) -> compare.Find:
        searcher = reading.searcher(self.settings, self.database, lambda: space, self.vectors, self.lexical)

        async def find(text: str) -> Found:
            request = Request(text, mode=mode, caller=OPERATOR)
            return await searcher.search(question(self.database, request, compare.DEPTH))

        return find


@asynccontextmanager
async def open_platform(settings: Settings) -> AsyncGenerator[Platform]:
    """A platform for as long as the block runs: the database up and migrated, nothing heavy loaded yet.

    Raises StoreUnavailable, Conflict (schema newer than this version), Corrupt (data expected and not there).
    """
    async with AsyncExitStack() as stack:
        url, server = await reach(settings, stack)
        await asyncio.to_thread(migrate.migrate, url)
        database = Database(url, settings.database)
        stack.push_async_callback(database.close)
        await database.open()
        platform = Platform(settings, database, server)
        stack.push_async_callback(platform.close)
        yield platform

"""One search: embed the question, ask both indexes at once, fuse, read the best passages from the record, order them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import structlog

from groundwork.candidates import Filters, Hit
from groundwork.embedders import Vectors
from groundwork.errors import Corrupt, Invalid
from groundwork.lexical import LexicalIndex
from groundwork.rerankers import Reranker
from groundwork.retrieve import records
from groundwork.retrieve.fuse import Fused, fuse
from groundwork.retrieve.records import ChunkRow
from groundwork.retrieve.rerank import Reranking
from groundwork.spaces.active import ActiveSpace
from groundwork.store.database import Database
from groundwork.vectors import VectorIndex

log = structlog.get_logger()

Mode = Literal["hybrid", "dense", "lexical"]
T = TypeVar("T")

MAX_QUERY_CHARACTERS = 8_000
_REMEMBERED_QUERIES = 256

NO_RERANKER = (
    "No reranker is set. Set GROUNDWORK_RERANKER__KIND to `http` or `openvino`; the settings beside it say where."
)


@dataclass(frozen=True)
class Passage:
    """A chunk found for a question, as the record holds it, with its scores."""

    chunk: ChunkRow
    score: float
    """Fused, or the reranker's: 0 to 1, comparable within one result only."""
    dense: float | None
    """Cosine between question and chunk, when it was among the nearest."""
    lexical: float | None
    """BM25, when it was among the best."""

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        chunk = self.chunk
        return {
            "chunk_id": str(chunk.chunk_id),
            "document_id": str(chunk.document_id),
            "version": version_name(chunk.version),
            "title": chunk.title,
            "uri": chunk.uri,
            "collection": chunk.collection,
            "media_type": chunk.media_type,
            "page": chunk.page,
            "heading_path": chunk.heading_path,
            "source_span": {"start": chunk.start, "end": chunk.end},
            "text": chunk.text,
            "score": round(self.score, 6),
            "scores": {"dense": self.dense, "lexical": self.lexical},
        }


@dataclass
class Found:
    """What a search found, and how long each stage took in milliseconds."""

    passages: list[Passage] = field(default_factory=list[Passage])
    timings_ms: dict[str, float] = field(default_factory=dict[str, float])
    reranked: bool = False
    """Whether a reranker has put them into order."""

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        passages = [each.body() for each in self.passages]
        return {"passages": passages, "reranked": self.reranked, "timings_ms": self.timings_ms}


@dataclass(frozen=True)
class Question:
    """What is searched for, where, and how."""

    text: str
    scope: Callable[[], Awaitable[Filters]]
    """Resolves the filters; called once, while the question is being embedded."""
    limit: int = 10
    mode: Mode = "hybrid"
    rerank: bool | None = None
    """Whether a reranker orders what is found; None: when one is set."""


class Searcher:
    """Answers questions with passages. Safe for any number of concurrent searches."""

    def __init__(
        self,
        database: Database,
        space: Callable[[], ActiveSpace],
        vectors: VectorIndex,
        lexical: Callable[[], LexicalIndex],
        distrust_lexical: Callable[[], None],
        candidates: int,
        dense_weight: float,
        reranking: Reranking | None = None,
    ) -> None:
        self._database = database
        self._space = space
        self._vectors = vectors
        self._lexical = lexical
        self._distrust_lexical = distrust_lexical
        self._candidates = candidates
        self._dense_weight = dense_weight
        self._reranking = reranking
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="search")
        self._embedded: OrderedDict[tuple[int, str], Vectors] = OrderedDict()
        self._searching = 0

    async def search(self, question: Question) -> Found:
        """The best passages for a question, best first.

        Raises Invalid for an empty or overlong question, and for one to be reranked when no reranker is set;
        Unavailable when an index or the database does not answer. A reranker that fails fails no search.
        """
        if question.rerank and self._reranking is None:
            raise Invalid(NO_RERANKER)
        self._searching += 1
        try:
            return await self._search(_checked(question.text), question)
        finally:
            self._searching -= 1

    async def warm(self) -> None:
        """Loads what the first question would otherwise wait for, but for the embedder, which is the space's."""
        if self._reranking:
            await self._reranking.warm()

    async def _search(self, text: str, question: Question) -> Found:
        found = Found()
        scope = asyncio.ensure_future(question.scope())
        dense, lexical = await asyncio.gather(
            self._dense(text, question, scope, found), self._lexical_hits(text, question, scope, found)
        )
        with _Stage(found, "fuse"):
            fused = fuse(dense, lexical, self._dense_weight)
        with _Stage(found, "hydrate"):
            reranking = self._reranking if question.rerank is not False else None
            wanted = max(question.limit, reranking.candidates) if reranking else question.limit
            found.passages = await self._hydrate(fused, await scope, wanted)
        if reranking:
            with _Stage(found, "rerank"):
                await _rerank(reranking, text, found)
            del found.passages[question.limit :]
        return found

    async def _hydrate(self, fused: Sequence[Fused], filters: Filters, limit: int) -> list[Passage]:
        """The best `limit` as the record holds them; what an index found and the record has no more is passed over."""
        passages: list[Passage] = []
        for at in range(0, len(fused), max(1, limit)):
            batch = fused[at : at + limit]
            rows = await records.chunks(self._database, [each.chunk_id for each in batch], filters)
            passages += [_passage(each, rows) for each in batch if each.chunk_id in rows]
            if len(passages) >= limit:
                break
        return passages[:limit]

    @property
    def reranker(self) -> Reranker | None:
        """What puts passages into order, when one is set."""
        return self._reranking.reranker if self._reranking else None

    async def close(self) -> None:
        """Ends the threads, and closes the reranker."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._reranking:
            await self._reranking.reranker.close()

    async def _dense(self, text: str, question: Question, scope: Awaitable[Filters], found: Found) -> list[Hit]:
        if question.mode == "lexical":
            return []
        space = self._space()  # one from here to the end, whatever goes live meanwhile
        with _Stage(found, "embed"):
            vector = await self._embed(text, space)
        filters = await scope
        if not filters.collections:
            return []
        with _Stage(found, "dense"):
            return await self._vectors.search(space.id, vector, filters, self._wanted(question))

    async def _embed(self, text: str, space: ActiveSpace) -> Vectors:
        key = (space.id, text)
        vector = self._embedded.get(key)
        if vector is None:
            vector = await self._embed_anew(text, space)
            self._embedded[key] = vector
            if len(self._embedded) > _REMEMBERED_QUERIES:
                self._embedded.popitem(last=False)
        else:
            self._embedded.move_to_end(key)
        return vector

    async def _embed_anew(self, text: str, space: ActiveSpace) -> Vectors:
        """In place while nobody else searches, since waking a thread and waiting for it costs as much again."""
        if space.embedder.in_process and self._searching == 1:
            return space.embedder.embed_query(text)
        return await self._in_thread(lambda: space.embedder.embed_query(text))

    async def _lexical_hits(self, text: str, question: Question, scope: Awaitable[Filters], found: Found) -> list[Hit]:
        if question.mode == "dense":
            return []
        filters = await scope
        with _Stage(found, "lexical"):
            try:
                return self._lexical().search(text, filters, self._wanted(question))  # well under a millisecond
            except Corrupt as error:
                log.warning("lexical index is damaged; it is built anew", reason=error.message)
                self._distrust_lexical()
                return []

    def _wanted(self, question: Question) -> int:
        return max(self._candidates, question.limit // 2)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def version_name(sha256: bytes) -> str:
    """A version as citations name it."""
    return "sha256:" + sha256.hex()


def parse_version(name: str) -> bytes:
    """The hash in a version's name. Raises Invalid when it is not one."""
    try:
        digest = bytes.fromhex(name.removeprefix("sha256:"))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise Invalid("A version is `sha256:` and 64 hexadecimal digits, as a citation gives it.")
    return digest


class _Stage:
    """Notes how long a stage of a search took."""

    def __init__(self, found: Found, name: str) -> None:
        self._found = found
        self._name = name

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._found.timings_ms[self._name] = round((time.perf_counter() - self._began) * 1000, 3)


async def _rerank(reranking: Reranking, text: str, found: Found) -> None:
    """Puts the best into the reranker's order. Those after them stay there, with scores that go on falling."""
    best, others = found.passages[: reranking.candidates], found.passages[reranking.candidates :]
    scores = await reranking.scores(text, [each.chunk for each in best])
    if scores is None:
        return
    scored = [replace(each, score=score) for each, score in zip(best, scores, strict=True)]
    scored.sort(key=lambda each: -each.score)
    least = scored[-1].score
    found.passages = scored + [replace(each, score=each.score * least) for each in others]
    found.reranked = True


def _checked(text: str) -> str:
    text = text.replace("\0", " ").strip()
    if not text:
        raise Invalid("The question is empty. Write what you want to know.")
    if len(text) > MAX_QUERY_CHARACTERS:
        raise Invalid(f"The question is longer than {MAX_QUERY_CHARACTERS:,} characters. Shorten it.")
    return text


def _passage(fused: Fused, rows: dict[Any, ChunkRow]) -> Passage:
    return Passage(rows[fused.chunk_id], fused.score, fused.dense, fused.lexical)

"""What every vector index promises: the nearest come first, and nothing out of scope is shown."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from groundwork.candidates import Filters
from groundwork.settings import DatabaseSettings
from groundwork.store.database import Database
from groundwork.vectors import VectorIndex
from groundwork.vectors.exact import Entry, ExactVectorIndex
from groundwork.vectors.pgvector import PgVectorIndex

OURS, THEIRS, SOURCE, OTHER_SOURCE = (UUID(int=number) for number in (1, 2, 3, 4))
EARLY, LATE = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
SPACE, OTHER_SPACE = 1, 2


@dataclass(frozen=True)
class Subject:
    """An index, filled."""

    index: VectorIndex

    async def found(self, filters: Filters, limit: int = 10, space: int = SPACE) -> list[int]:
        """Numbers of the entries nearest to the first axis, nearest first."""
        hits = await self.index.search(space, _at(0), filters, limit)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        return [hit.chunk_id.int - 100 for hit in hits]


def _at(degrees: float) -> NDArray[np.float32]:
    """A vector of unit length, so many degrees away from the first axis."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)


def entry(number: int, degrees: float, collection: UUID = OURS, space: int = SPACE) -> Entry:
    """An entry of a document of its own."""
    document_id = UUID(int=1000 + number)
    return Entry(UUID(int=100 + number), space, collection, _at(degrees), SOURCE, "text/plain", document_id, (), EARLY)


ENTRIES = (
    entry(1, 60),
    entry(2, 10),
    replace(entry(3, 30), tags=("red", "very old"), live_since=LATE),
    replace(entry(4, 40), media_type="text/html", source_id=OTHER_SOURCE, tags=("blue",)),
    entry(5, 5, THEIRS),
    replace(entry(6, 1), chunk_id=UUID(int=102), document_id=UUID(int=1002), space=OTHER_SPACE),
)


@pytest.fixture(params=["pgvector", "exact"])
def check(request: pytest.FixtureRequest) -> Callable[[Callable[[Subject], Awaitable[None]]], None]:
    """Runs checks against a filled index of each kind."""
    url: str | None = request.getfixturevalue("database_url") if request.param == "pgvector" else None
    return lambda checks: asyncio.run(_checked(url, checks))


async def _checked(url: str | None, checks: Callable[[Subject], Awaitable[None]]) -> None:
    if url is None:
        index = ExactVectorIndex()
        for each in ENTRIES:
            index.add(each)
        await checks(Subject(index))
        return
    await asyncio.to_thread(_insert, url)
    database = Database(url, DatabaseSettings())
    await database.open()
    try:
        await checks(Subject(PgVectorIndex(database)))
    finally:
        await database.close()


def _insert(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        for space in (SPACE, OTHER_SPACE):
            connection.execute(
                "INSERT INTO embedding_spaces (id, model, revision, dimension) OVERRIDING SYSTEM VALUE VALUES (%s, %s, '1', 4)",
                (space, f"model {space}"),
            )
        for each in ENTRIES:
            connection.execute(
                "INSERT INTO documents (id, collection_id, source_id, uri, media_type, status, tags, live_since) "
                "VALUES (%s, %s, %s, %s, %s, 'ready', %s, %s) ON CONFLICT DO NOTHING",
                (
                    each.document_id,
                    each.collection_id,
                    each.source_id,
                    str(each.document_id),
                    each.media_type,
                    list(each.tags),
                    each.live_since,
                ),
            )
            connection.execute(
                "INSERT INTO chunk_embeddings (chunk_id, space_id, collection_id, document_id, embedding) "
                "VALUES (%s, %s, %s, %s, %s::halfvec)",
                (each.chunk_id, each.space, each.collection_id, each.document_id, str(each.vector.tolist())),
            )


Check = Callable[[Callable[[Subject], Awaitable[None]]], None]


def test_the_nearest_come_first(check: Check) -> None:
    async def checks(subject: Subject) -> None:
        assert await subject.found(Filters((OURS,))) == [2, 3, 4, 1]
        assert await subject.found(Filters((OURS,)), limit=2) == [2, 3]
        [best] = await subject.index.search(SPACE, _at(0), Filters((OURS,)), 1)
        assert best.score == pytest.approx(np.cos(np.radians(10)), abs=2e-3)

    check(checks)


def test_nothing_out_of_scope_is_found(check: Check) -> None:
    async def checks(subject: Subject) -> None:
        assert await subject.found(Filters((THEIRS,))) == [5]
        assert await subject.found(Filters((OURS, THEIRS)), limit=1) == [5]
        assert await subject.found(Filters(())) == []
        assert await subject.found(Filters((UUID(int=9),))) == []
        assert await subject.found(Filters((OURS,)), space=OTHER_SPACE) == [2]

    check(checks)


def test_filters_narrow_what_is_found(check: Check) -> None:
    async def checks(subject: Subject) -> None:
        assert await subject.found(Filters((OURS,), sources=(OTHER_SOURCE,))) == [4]
        assert await subject.found(Filters((OURS,), sources=(UUID(int=9),))) == []
        assert await subject.found(Filters((OURS,), media_types=("text/html", "text/x"))) == [4]
        assert await subject.found(Filters((OURS,), tags=("very old",))) == [3]
        assert await subject.found(Filters((OURS,), tags=("blue", "red"))) == [3, 4]
        assert await subject.found(Filters((OURS,), tags=("old",))) == []
        assert await subject.found(Filters((THEIRS,), tags=("red",))) == []
        assert await subject.found(Filters((OURS,), since=LATE)) == [3]
        assert await subject.found(Filters((OURS,), until=LATE)) == [2, 4, 1]
        assert await subject.found(Filters((OURS,), since=EARLY, until=EARLY)) == []
        assert await subject.found(Filters((OURS,), tags=("red",), until=LATE)) == []

    check(checks)


def test_it_tells_what_it_holds(check: Check) -> None:
    async def checks(subject: Subject) -> None:
        assert [each.int - 100 async for each in subject.index.ids(SPACE)] == [1, 2, 3, 4, 5]
        assert [each.int - 100 async for each in subject.index.ids(OTHER_SPACE)] == [2]
        assert [each async for each in subject.index.ids(3)] == []
        assert await subject.index.count_document(UUID(int=1002)) == 2
        assert await subject.index.count_document(UUID(int=1099)) == 0

    check(checks)

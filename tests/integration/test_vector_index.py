"""The vector index in PostgreSQL: exact while small, an HNSW index of the space's own once it pays."""

import random

import psycopg

from groundwork.access.scope import ANYONE
from groundwork.assembly import Platform
from groundwork.candidates import Hit
from groundwork.ingest.items import Item
from groundwork.retrieve import scope
from plugins.installation import Run, quiet

WORDS = (
    "amber basalt cedar delta ember fjord granite harbour island juniper kelp lagoon meadow nectar onyx pebble".split()
)


def _items(count: int) -> list[Item]:
    return [Item(f"note:{n}", "note.txt", lambda n=n: _text(n).encode()) for n in range(count)]


def _text(n: int) -> str:
    return f"Note {n} tells of {', '.join(random.Random(n).sample(WORDS, 5))} and number{n}."


def _index(url: str) -> tuple[str, bool] | None:
    """Definition and validity of the HNSW index, if there is one."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT pg_get_indexdef(i.indexrelid), i.indisvalid FROM pg_index i "
            "JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE 'chunk_embeddings_hnsw_%'"
        ).fetchone()


def _prefer_indexes(url: str) -> None:
    """For every connection opened from now on: among so few rows the planner would rather compare one by one."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {name} = off")


def _plan(url: str, space: int) -> str:
    """How PostgreSQL would run a search like the adapter's."""
    vector = f"'[{','.join(['0.05'] * 384)}]'::halfvec(384)"
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            f"EXPLAIN SELECT chunk_id FROM chunk_embeddings WHERE space_id = {space} "
            f"ORDER BY embedding::halfvec(384) <=> {vector} LIMIT 10"
        ).fetchall()
    return "\n".join(row[0] for row in rows)


async def _nearest(platform: Platform, text: str) -> list[Hit]:
    filters = await scope.resolve(platform.database, ANYONE)
    return await platform.vectors.search(platform.space, platform.embedder.embed_query(text), filters, 10)


def test_few_rows_are_searched_exactly_and_many_through_an_index(run: Run[object], database_url: str) -> None:
    async def work(platform: Platform) -> None:
        await platform.ingest_items(_items(100), "default", quiet)
        assert _index(database_url) is None

        await platform.ingest_items(_items(600), "default", quiet)
        built = _index(database_url)
        assert built is not None
        assert built[1]
        assert f"WHERE (space_id = {platform.space})" in built[0]
        assert "hnsw" in _plan(database_url, platform.space)

        question = f"granite and onyx {_text(321)}"
        found = await _nearest(platform, question)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"DROP INDEX chunk_embeddings_hnsw_{platform.space}")
        exact = await _nearest(platform, question)
        assert len(exact) == 10
        assert found[0].chunk_id == exact[0].chunk_id
        # By score, since texts may be equally near.
        assert all(near.score >= best.score - 0.02 for near, best in zip(found, exact, strict=True))

    _prefer_indexes(database_url)
    run(work)


def test_an_index_left_unfinished_is_built_again(run: Run[object], database_url: str) -> None:
    async def work(platform: Platform) -> None:
        await platform.ingest_items(_items(600), "default", quiet)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
                (f"chunk_embeddings_hnsw_{platform.space}",),
            )
        left = _index(database_url)
        assert left is not None
        assert not left[1]

        fresh = type(platform.vectors)(platform.database)  # what the next process starts with
        await fresh.prepare(platform.space, platform.embedder.model.dimension)
        again = _index(database_url)
        assert again is not None
        assert again[1]

    run(work)

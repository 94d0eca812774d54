"""What the record holds of embedding spaces: the rows, which one is live, and the vectors a space lacks.

Publications and switches meet at one lock: any number of publications hold it together, a switch holds it alone. So a
publication knows which space is live until it commits, and a switch knows that no passage comes in meanwhile.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from groundwork.embedders import Model
from groundwork.spaces.config import SpaceConfig, from_json
from groundwork.store.database import Database, Row

State = Literal["building", "ready", "retired", "dropping"]
Vector = NDArray[np.float32]

_LOCK = 0x73706163  # any constant, the same for every Groundwork process
_COLUMNS: LiteralString = "SELECT id, name, model, revision, dimension, config, state, live, live_until, created_at "


@dataclass(frozen=True)
class SpaceRow:
    """An embedding space as the record holds it."""

    id: int
    name: str
    model: Model
    config: SpaceConfig | None
    """None when an older version of Groundwork made it."""
    state: State
    live: bool
    live_until: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class Lacking:
    """A chunk without a vector in some space, with what is embedded for it."""

    chunk_id: UUID
    embed_hash: bytes
    title: str
    heading_path: list[str]
    text: str


async def live(database: Database) -> SpaceRow | None:
    """The space that searches use; None in a database that has never been used."""
    row = await database.fetch_one(_COLUMNS + "FROM embedding_spaces WHERE live")
    return _space(row) if row else None


async def by_name(database: Database, name: str) -> SpaceRow | None:
    """The space of that name."""
    row = await database.fetch_one(_COLUMNS + "FROM embedding_spaces WHERE name = %s", (name,))
    return _space(row) if row else None


async def by_id(database: Database, space: int) -> SpaceRow | None:
    """The space of that id."""
    row = await database.fetch_one(_COLUMNS + "FROM embedding_spaces WHERE id = %s", (space,))
    return _space(row) if row else None


async def every(database: Database) -> list[SpaceRow]:
    """All spaces, oldest first."""
    return [_space(row) for row in await database.fetch(_COLUMNS + "FROM embedding_spaces ORDER BY id")]


async def counts(database: Database) -> tuple[int, dict[int, int]]:
    """How many passages there are, and how many of them have a vector, by space."""
    passages = await database.fetch_one("SELECT count(*) FROM chunks", patient=True)
    vectors = await database.fetch("SELECT space_id, count(*) FROM chunk_embeddings GROUP BY space_id", patient=True)
    return (passages[0] if passages else 0), dict(vectors)


async def insert(connection: AsyncConnection, name: str, model: Model, config: SpaceConfig) -> bool:
    """Adds a space that has to be built; False when the name is taken."""
    cursor = await connection.execute(
        "INSERT INTO embedding_spaces (name, model, revision, dimension, config, state) "
        "VALUES (%s, %s, %s, %s, %s, 'building') ON CONFLICT (name) DO NOTHING",
        (name, model.name, model.revision, model.dimension, Jsonb(config.to_json())),
    )
    return cursor.rowcount == 1


async def insert_first(connection: AsyncConnection, name: str, model: Model, config: SpaceConfig) -> None:
    """Adds a live space unless there is one, under `name` or one like it."""
    await lock_switch(connection)
    cursor = await connection.execute("SELECT FROM embedding_spaces WHERE live")
    if await cursor.fetchone() is not None:
        return
    await connection.execute(
        "INSERT INTO embedding_spaces (name, model, revision, dimension, config, live) SELECT %(name)s || "
        "CASE WHEN EXISTS (SELECT FROM embedding_spaces WHERE name = %(name)s) THEN '-' || gen_random_uuid()::text ELSE '' END, "
        "%(model)s, %(revision)s, %(dimension)s, %(config)s, true",
        {
            "name": name,
            "model": model.name,
            "revision": model.revision,
            "dimension": model.dimension,
            "config": Jsonb(config.to_json()),
        },
    )


async def set_config(connection: AsyncConnection, space: int, config: SpaceConfig) -> None:
    """Changes how the embedder of a space is reached."""
    await connection.execute("UPDATE embedding_spaces SET config = %s WHERE id = %s", (Jsonb(config.to_json()), space))


async def set_state(connection: AsyncConnection, space: int, state: State, before: Sequence[State]) -> bool:
    """Moves a space that is not live from one of the states `before`; whether it was in one."""
    cursor = await connection.execute(
        "UPDATE embedding_spaces SET state = %s WHERE id = %s AND state = ANY(%s) AND NOT live",
        (state, space, list(before)),
    )
    return cursor.rowcount == 1


async def hold_live(connection: AsyncConnection) -> int | None:
    """The id of the live space, which stays so until the caller's transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (_LOCK,))
    cursor = await connection.execute("SELECT id FROM embedding_spaces WHERE live")
    row = await cursor.fetchone()
    return row[0] if row else None


async def lock_switch(connection: AsyncConnection) -> None:
    """Waits for every publication that runs, and lets none begin until the caller's transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


async def make_live(connection: AsyncConnection, space: int) -> bool:
    """Makes a space the live one in place of the one that is, in a transaction that holds `lock_switch`.

    False, and nothing done, when it is not fit for that: never built, or being dropped.
    """
    cursor = await connection.execute(
        "SELECT FROM embedding_spaces WHERE id = %s AND state IN ('ready', 'retired') FOR UPDATE", (space,)
    )
    if await cursor.fetchone() is None:
        return False
    await connection.execute(
        "UPDATE embedding_spaces SET live = false, state = 'retired', live_until = now() WHERE live AND id <> %s",
        (space,),
    )
    await connection.execute(
        "UPDATE embedding_spaces SET live = true, state = 'ready', live_until = NULL WHERE id = %s", (space,)
    )
    return True


async def lacking(connection: AsyncConnection, space: int, after: UUID, limit: int) -> list[Lacking]:
    """Chunks after an id that have no vector in `space`, in the order of their ids."""
    cursor = await connection.execute(
        "SELECT c.id, c.embed_hash, v.title, c.heading_path, c.text FROM chunks c "
        "JOIN document_versions v ON v.id = c.version_id WHERE c.id > %s "
        "AND NOT EXISTS (SELECT FROM chunk_embeddings e WHERE e.chunk_id = c.id AND e.space_id = %s) "
        "ORDER BY c.id LIMIT %s",
        (after, space, limit),
    )
    return [Lacking(*row) for row in await cursor.fetchall()]


async def count_lacking(database: Database, space: int, most: int) -> int:
    """How many chunks have no vector in `space`, counted up to `most`."""
    row = await database.fetch_one(
        "SELECT count(*) FROM (SELECT FROM chunks c WHERE NOT EXISTS "
        "(SELECT FROM chunk_embeddings e WHERE e.chunk_id = c.id AND e.space_id = %s) LIMIT %s) AS sample",
        (space, most),
        patient=True,
    )
    return row[0] if row else 0


async def known_vectors(database: Database, space: int, hashes: Iterable[bytes]) -> dict[bytes, Vector]:
    """Vectors of `space` already computed for equal passages, published or checkpointed, by hash."""
    rows = await database.fetch(
        "SELECT c.embed_hash, e.embedding FROM chunks c "
        "JOIN chunk_embeddings e ON e.chunk_id = c.id AND e.space_id = %(space)s WHERE c.embed_hash = ANY(%(hashes)s) "
        "UNION ALL SELECT embed_hash, embedding FROM embedding_checkpoints "
        "WHERE space_id = %(space)s AND embed_hash = ANY(%(hashes)s)",
        {"space": space, "hashes": list(hashes)},
    )
    return {digest: vector.to_numpy().astype(np.float32) for digest, vector in rows}


async def checkpoint(connection: AsyncConnection, space: int, vectors: Sequence[tuple[bytes, Vector]]) -> None:
    """Keeps computed vectors until they are published, so that a crash in between does not pay for them twice."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO embedding_checkpoints (space_id, embed_hash, embedding) "
            "SELECT id, %s, %b FROM embedding_spaces WHERE id = %s FOR KEY SHARE ON CONFLICT DO NOTHING",
            [(digest, HalfVector(vector), space) for digest, vector in vectors],
        )


async def add_vectors(connection: AsyncConnection, space: int, vectors: Sequence[tuple[UUID, Vector]]) -> None:
    """Writes vectors of chunks. A chunk that is being removed at the moment is passed over, so that neither waits."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO chunk_embeddings (chunk_id, space_id, collection_id, document_id, embedding) "
            "SELECT id, %s, collection_id, document_id, %b FROM chunks WHERE id = %s FOR KEY SHARE SKIP LOCKED "
            "ON CONFLICT DO NOTHING",
            [(space, HalfVector(vector), chunk_id) for chunk_id, vector in vectors],
        )


async def remove_vectors(connection: AsyncConnection, space: int, after: UUID, limit: int) -> list[UUID]:
    """Removes up to `limit` vectors of `space`, of chunks after an id, in the order of their ids; which chunks."""
    cursor = await connection.execute(
        "DELETE FROM chunk_embeddings WHERE space_id = %(space)s AND chunk_id = ANY(ARRAY(SELECT chunk_id FROM chunk_embeddings "
        "WHERE chunk_id > %(after)s AND space_id = %(space)s ORDER BY chunk_id LIMIT %(limit)s)) RETURNING chunk_id",
        {"space": space, "after": after, "limit": limit},
    )
    return sorted(row[0] for row in await cursor.fetchall())


async def delete(connection: AsyncConnection, space: int) -> None:
    """Removes the row of a space, with whatever still hangs on it."""
    await connection.execute("DELETE FROM embedding_checkpoints WHERE space_id = %s", (space,))
    await connection.execute("DELETE FROM embedding_spaces WHERE id = %s AND NOT live", (space,))


def _space(row: Row) -> SpaceRow:
    space, name, model, revision, dimension, config, *rest = row
    known: dict[str, Any] | None = config
    return SpaceRow(space, name, Model(model, revision, dimension), from_json(known) if known else None, *rest)

"""What is stored of access: who may read which collection."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection

from groundwork.store.database import Database, Row


@dataclass(frozen=True)
class Reader:
    """What decides which collections somebody reads."""

    user: str | None
    roles: Sequence[str]
    everything: bool
    only: Sequence[str] | None
    """No others than these."""
    granted: bool
    """Those of `only`, whoever else may read them."""


async def readable(database: Database, reader: Reader, names: Sequence[str] | None) -> dict[str, UUID]:
    """Ids by name of the collections `reader` may read, of those named or of all."""
    rows = await database.fetch(
        "SELECT k.name, k.id FROM collections k WHERE (%(names)s::text[] IS NULL OR k.name = ANY(%(names)s)) "
        "AND (%(only)s::text[] IS NULL OR k.name = ANY(%(only)s)) "
        "AND (%(everything)s OR (%(granted)s AND %(only)s::text[] IS NOT NULL) OR k.readable_by_everyone "
        "OR EXISTS (SELECT FROM collection_readers r "
        "WHERE r.collection_id = k.id AND ((r.kind = 'user' AND r.name = %(user)s) "
        "OR (r.kind = 'role' AND r.name = ANY(%(roles)s)))))",
        {
            "names": list(names) if names is not None else None,
            "everything": reader.everything,
            "user": reader.user,
            "roles": list(reader.roles),
            "only": list(reader.only) if reader.only is not None else None,
            "granted": reader.granted,
        },
    )
    return dict(rows)


async def readers(database: Database, collection: str) -> list[Row]:
    """Whether everyone may read a collection, with kind and name of each reader; no row without the collection."""
    return await database.fetch(
        "SELECT k.readable_by_everyone, r.kind, r.name FROM collections k "
        "LEFT JOIN collection_readers r ON r.collection_id = k.id WHERE k.name = %s ORDER BY r.kind, r.name",
        (collection,),
    )


async def set_readers(
    connection: AsyncConnection, collection: str, everyone: bool, roles: Sequence[str], users: Sequence[str]
) -> None:
    """Replaces who may read a collection; its generation grows, so that no cache answers for the old readers."""
    await connection.execute(
        "UPDATE collections SET readable_by_everyone = %s, generation = generation + 1 WHERE name = %s",
        (everyone, collection),
    )
    await connection.execute(
        "DELETE FROM collection_readers r USING collections k WHERE r.collection_id = k.id AND k.name = %s",
        (collection,),
    )
    await connection.execute(
        "INSERT INTO collection_readers (collection_id, kind, name) "
        "SELECT k.id, r.kind, r.name FROM collections k, "
        "(SELECT 'role' AS kind, unnest(%s::text[]) AS name UNION SELECT 'user', unnest(%s::text[])) AS r WHERE k.name = %s",
        (list(roles), list(users), collection),
    )


async def maintenance(database: Database) -> Row | None:
    """Since when, why and by whom maintenance mode is on; None while it is off."""
    return await database.fetch_one("SELECT since, reason, actor FROM maintenance")


async def set_maintenance(connection: AsyncConnection, on: bool, reason: str, actor: str) -> bool:
    """Turns it on or off; whether that changed anything."""
    if on:
        cursor = await connection.execute(
            "INSERT INTO maintenance (reason, actor) VALUES (%s, %s) ON CONFLICT DO NOTHING", (reason, actor)
        )
    else:
        cursor = await connection.execute("DELETE FROM maintenance")
    return cursor.rowcount > 0

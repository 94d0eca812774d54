"""What is stored of the audit log."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from groundwork.store.database import Database, Row

_LOCK = 0x61756474
_COLUMNS = "id, at, actor, action, subject, address, details, previous, hash"


async def lock(connection: AsyncConnection) -> None:
    """One appends at a time, until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


async def last(connection: AsyncConnection) -> Row | None:
    """Number and hash of the newest entry."""
    cursor = await connection.execute("SELECT id, hash FROM audit_log ORDER BY id DESC LIMIT 1")
    return await cursor.fetchone()


async def append(
    connection: AsyncConnection,
    number: int,
    at: datetime,
    words: tuple[str, str, str, str],
    details: dict[str, Any],
    hashes: tuple[bytes, bytes],
) -> None:
    """Adds an entry; `words` are actor, action, subject and address, `hashes` the one before and its own."""
    await connection.execute(
        "INSERT INTO audit_log (id, at, actor, action, subject, address, details, previous, hash) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (number, at, *words, Jsonb(details), *hashes),
    )


async def page(database: Database, before: int | None, action: str | None, actor: str | None, limit: int) -> list[Row]:
    """Entries, newest first."""
    return await database.fetch(
        f"SELECT {_COLUMNS} FROM audit_log WHERE (%(before)s::bigint IS NULL OR id < %(before)s) "
        "AND (%(action)s::text IS NULL OR action = %(action)s) AND (%(actor)s::text IS NULL OR actor = %(actor)s) "
        "ORDER BY id DESC LIMIT %(limit)s",
        {"before": before, "action": action, "actor": actor, "limit": limit},
    )


async def from_number(database: Database, after: int, limit: int) -> list[Row]:
    """Entries in order, those after a number."""
    return await database.fetch(f"SELECT {_COLUMNS} FROM audit_log WHERE id > %s ORDER BY id LIMIT %s", (after, limit))


async def delete_before(connection: AsyncConnection, moment: datetime) -> int:
    """Forgets the entries from before a moment, all but the newest of them; how many."""
    cursor = await connection.execute(
        "DELETE FROM audit_log WHERE id < (SELECT max(id) FROM audit_log WHERE at < %s)", (moment,)
    )
    return cursor.rowcount


async def count_since(database: Database, action: str, moment: datetime) -> int:
    """Entries of an action since a moment."""
    row = await database.fetch_one("SELECT count(*) FROM audit_log WHERE action = %s AND at >= %s", (action, moment))
    return row[0] if row else 0

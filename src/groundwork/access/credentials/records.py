"""What is stored of keys, tokens and signing secrets."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection

from groundwork.store.database import Database, Row

_KEY = (
    "k.id, k.name, k.prefix, u.name, k.scopes, k.collections, k.created_at, k.expires_at, k.revoked_at, k.last_used_at"
)
_KEYS = "FROM api_keys k LEFT JOIN users u ON u.id = k.user_id "


async def insert_key(
    connection: AsyncConnection,
    key: UUID,
    words: tuple[str, str, bytes],
    owner: str | None,
    scopes: Sequence[str],
    collections: Sequence[str] | None,
    expires_at: datetime | None,
) -> None:
    """Adds a key; `words` are its name, prefix and digest."""
    await connection.execute(
        "INSERT INTO api_keys (id, name, prefix, digest, user_id, scopes, collections, expires_at) "
        "VALUES (%s, %s, %s, %s, (SELECT id FROM users WHERE name = %s), %s, %s, %s)",
        (key, *words, owner, list(scopes), list(collections) if collections is not None else None, expires_at),
    )


async def keys(database: Database, owner: str | None, after: UUID | None, limit: int) -> list[Row]:
    """Keys in the order they were made; of one owner, or all."""
    return await database.fetch(
        f"SELECT {_KEY} {_KEYS} WHERE (%(owner)s::text IS NULL OR u.name = %(owner)s) "
        "AND (%(after)s::uuid IS NULL OR k.id > %(after)s) ORDER BY k.id LIMIT %(limit)s",
        {"owner": owner, "after": after, "limit": limit},
    )


async def key(database: Database, key_id: UUID) -> Row | None:
    """One key."""
    return await database.fetch_one(f"SELECT {_KEY} {_KEYS} WHERE k.id = %s", (key_id,))


async def keys_named(database: Database, name: str) -> list[Row]:
    """Keys of that name or prefix that are not revoked."""
    return await database.fetch(
        f"SELECT {_KEY} {_KEYS} WHERE (k.name = %s OR k.prefix = %s) AND k.revoked_at IS NULL", (name, name)
    )


async def revoke_key(connection: AsyncConnection, key_id: UUID) -> None:
    """Ends a key."""
    await connection.execute("UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %s", (key_id,))


async def holder_of_key(database: Database, digest: bytes) -> Row | None:
    """Of a key that holds: id, name, prefix, scopes, collections, its owner's name and role, whether its use is to be noted."""
    return await database.fetch_one(
        "SELECT k.id, k.name, k.prefix, k.scopes, k.collections, u.name, u.role, "
        "k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' "
        f"{_KEYS} WHERE k.digest = %s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) "
        "AND (k.user_id IS NULL OR u.status = 'active')",
        (digest,),
    )


async def key_used(database: Database, key_id: UUID) -> None:
    """Notes that a key was used just now."""
    async with database.transaction() as connection:
        await connection.execute("UPDATE api_keys SET last_used_at = now() WHERE id = %s", (key_id,))


async def holder_of_token(database: Database, user: UUID, token: UUID) -> Row | None:
    """Name, role and generation of an active user, unless that token was revoked."""
    return await database.fetch_one(
        "SELECT name, role, generation FROM users WHERE id = %s AND status = 'active' "
        "AND NOT EXISTS (SELECT FROM revoked_tokens r WHERE r.id = %s)",
        (user, token),
    )


async def revoke_token(connection: AsyncConnection, token: UUID, expires_at: datetime) -> None:
    """Ends a token; forgets those that have expired anyway."""
    await forget_expired_tokens(connection)
    await connection.execute(
        "INSERT INTO revoked_tokens (id, expires_at) VALUES (%s, %s) ON CONFLICT DO NOTHING", (token, expires_at)
    )


async def forget_expired_tokens(connection: AsyncConnection) -> None:
    """Forgets revoked tokens that have expired: nobody could use them any more."""
    await connection.execute("DELETE FROM revoked_tokens WHERE expires_at < now()")


async def secrets(database: Database) -> list[Row]:
    """Id, secret, times of making and retiring of the signing secrets that hold, newest first."""
    return await database.fetch(
        "SELECT id, secret, created_at, retires_at FROM signing_secrets "
        "WHERE retires_at IS NULL OR retires_at > now() ORDER BY created_at DESC, id DESC"
    )


async def lock_secrets(connection: AsyncConnection) -> list[Row]:
    """The same, while nobody else changes them."""
    await connection.execute("LOCK TABLE signing_secrets IN SHARE ROW EXCLUSIVE MODE")
    cursor = await connection.execute("SELECT id, created_at FROM signing_secrets WHERE retires_at IS NULL")
    return await cursor.fetchall()


async def insert_secret(connection: AsyncConnection, name: str, secret: bytes) -> None:
    """Adds a secret that signs from now on."""
    await connection.execute(
        "INSERT INTO signing_secrets (id, secret, created_at) VALUES (%s, %s, clock_timestamp())", (name, secret)
    )


async def retire_secrets(connection: AsyncConnection, at: datetime) -> None:
    """Lets those that sign hold until `at`, and forgets those that hold no more."""
    await connection.execute("DELETE FROM signing_secrets WHERE retires_at < now()")
    await connection.execute("UPDATE signing_secrets SET retires_at = %s WHERE retires_at IS NULL", (at,))


async def count_by_status(database: Database) -> dict[str, int]:
    """How many keys hold, have expired, and were revoked."""
    rows = await database.fetch(
        "SELECT CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END, "
        "count(*) FROM api_keys GROUP BY 1"
    )
    return {"active": 0, "expired": 0, "revoked": 0, **dict(rows)}

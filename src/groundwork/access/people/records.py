"""What is stored of people and their failed logins."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection

from groundwork.store.database import Database, Row

_COLUMNS = "u.id, u.name, u.role, u.status, u.created_at, u.last_login_at, f.blocked_until > now()"
_ACCOUNTS, _ADDRESSES = 0x61636374, 0x61646472
_SHORTEST_BLOCK_SECONDS = 10.0
_FROM = "FROM users u LEFT JOIN login_failures f ON f.kind = 'account' AND f.name = u.name "


async def page(database: Database, after: str | None, limit: int) -> list[Row]:
    """People by name."""
    return await database.fetch(
        f"SELECT {_COLUMNS} {_FROM} WHERE (%s::text IS NULL OR u.name > %s) ORDER BY u.name LIMIT %s",
        (after, after, limit),
    )


async def by_name(database: Database, name: str) -> Row | None:
    """One of them."""
    return await database.fetch_one(f"SELECT {_COLUMNS} {_FROM} WHERE u.name = %s", (name,))


async def any_at_all(database: Database) -> bool:
    """Whether there is anybody."""
    return bool(await database.fetch("SELECT FROM users LIMIT 1"))


async def insert(connection: AsyncConnection, key: UUID, name: str, role: str, password_hash: str | None) -> bool:
    """Adds somebody; False when the name is taken."""
    cursor = await connection.execute(
        "INSERT INTO users (id, name, role, password_hash) VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO NOTHING",
        (key, name, role, password_hash),
    )
    return cursor.rowcount == 1


async def lock_first(connection: AsyncConnection) -> bool:
    """Whether there is nobody yet; nobody can be added by anybody else until the transaction ends."""
    await connection.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
    cursor = await connection.execute("SELECT FROM users LIMIT 1")
    return await cursor.fetchone() is None


async def set_status(connection: AsyncConnection, name: str, status: str) -> None:
    """Changes the status; tokens given out before are void."""
    await connection.execute(
        "UPDATE users SET status = %s, generation = generation + 1 WHERE name = %s", (status, name)
    )


async def set_role(connection: AsyncConnection, name: str, role: str) -> None:
    """Changes the role; tokens given out before are void."""
    await connection.execute("UPDATE users SET role = %s, generation = generation + 1 WHERE name = %s", (role, name))


async def set_password(connection: AsyncConnection, name: str, password_hash: str) -> None:
    """Changes the password; tokens given out before are void."""
    await connection.execute(
        "UPDATE users SET password_hash = %s, generation = generation + 1 WHERE name = %s", (password_hash, name)
    )


async def other_active_admins(connection: AsyncConnection, name: str) -> int:
    """How many admins would be left who can sign in; nobody else changes that until the transaction ends."""
    await connection.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
    cursor = await connection.execute(
        "SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active' AND name <> %s", (name,)
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


async def credentials(database: Database, name: str) -> Row | None:
    """Id, hash of the password, status, role and generation of tokens."""
    return await database.fetch_one(
        "SELECT id, password_hash, status, role, generation FROM users WHERE name = %s", (name,)
    )


async def logged_in(connection: AsyncConnection, key: UUID) -> None:
    """Notes a login."""
    await connection.execute("UPDATE users SET last_login_at = now() WHERE id = %s", (key,))


async def lock_attempts(connection: AsyncConnection, account: str, address: str) -> None:
    """One attempt at an account, and one from an address, is judged at a time, until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_ACCOUNTS, account))
    await connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_ADDRESSES, address))


async def blocked_seconds(connection: AsyncConnection, names: Sequence[tuple[str, str]]) -> float:
    """How long the longest block of these accounts and addresses lasts still; 0 without one."""
    cursor = await connection.execute(
        "SELECT coalesce(max(extract(epoch FROM f.blocked_until - now())), 0)::float FROM login_failures f "
        "JOIN unnest(%s::text[], %s::text[]) AS n(kind, name) ON n.kind = f.kind AND n.name = f.name "
        "WHERE f.blocked_until > now()",
        ([kind for kind, _ in names], [name for _, name in names]),
    )
    row = await cursor.fetchone()
    return row[0] if row else 0.0


async def count_failure(connection: AsyncConnection, kind: str, name: str, free: int, longest: float) -> int:
    """Counts a failure; after `free` in a row each blocks twice as long, up to `longest` seconds. How many in a row.

    Failures more than a day ago count no more.
    """
    cursor = await connection.execute(
        "INSERT INTO login_failures AS f (kind, name, failures, last_at) VALUES (%(kind)s, %(name)s, 1, now()) "
        "ON CONFLICT (kind, name) DO UPDATE SET last_at = now(), "
        "failures = CASE WHEN f.last_at < now() - interval '1 day' THEN 1 ELSE f.failures + 1 END "
        "RETURNING failures",
        {"kind": kind, "name": name},
    )
    row = await cursor.fetchone()
    failures = row[0] if row else 1
    if failures > free:
        seconds = min(_SHORTEST_BLOCK_SECONDS * 2.0 ** min(failures - free - 1, 30), longest)
        await connection.execute(
            "UPDATE login_failures SET blocked_until = now() + make_interval(secs => %s) WHERE kind = %s AND name = %s",
            (seconds, kind, name),
        )
    return failures


async def uncount_failure(connection: AsyncConnection, kind: str, name: str) -> None:
    """Takes one failure back that was none."""
    await connection.execute(
        "UPDATE login_failures SET failures = greatest(failures - 1, 0), blocked_until = NULL WHERE kind = %s AND name = %s",
        (kind, name),
    )


async def forget_failures(connection: AsyncConnection, kind: str, name: str) -> None:
    """Begins to count anew."""
    await connection.execute("DELETE FROM login_failures WHERE kind = %s AND name = %s", (kind, name))


async def forget_old_failures(connection: AsyncConnection) -> None:
    """Forgets failures that count no more; see `count_failure`."""
    await connection.execute("DELETE FROM login_failures WHERE last_at < now() - interval '1 day'")


async def delete(connection: AsyncConnection, name: str) -> None:
    """Removes somebody with their keys, their conversations and what they were given to read."""
    await connection.execute(
        "WITH gone AS (DELETE FROM collection_readers WHERE kind = 'user' AND name = %s RETURNING collection_id) "
        "UPDATE collections SET generation = generation + 1 WHERE id IN (SELECT collection_id FROM gone)",
        (name,),
    )
    await connection.execute("DELETE FROM users WHERE name = %s", (name,))


async def readable_by_name(database: Database, name: str) -> list[str]:
    """Collections somebody was given by name."""
    rows = await database.fetch(
        "SELECT k.name FROM collection_readers r JOIN collections k ON k.id = r.collection_id "
        "WHERE r.kind = 'user' AND r.name = %s ORDER BY k.name",
        (name,),
    )
    return [row[0] for row in rows]


async def idle_since(database: Database, moment: datetime) -> list[str]:
    """Active people who have not signed in since, nor been added since."""
    rows = await database.fetch(
        "SELECT name FROM users WHERE status = 'active' AND coalesce(last_login_at, created_at) < %s ORDER BY name",
        (moment,),
    )
    return [row[0] for row in rows]


async def count_by_status(database: Database) -> dict[str, int]:
    """How many people are active, disabled, and locked after failed logins."""
    rows = await database.fetch(
        "SELECT CASE WHEN u.status = 'active' AND f.blocked_until > now() THEN 'locked' ELSE u.status END, count(*) "
        f"{_FROM} GROUP BY 1"
    )
    return {"active": 0, "disabled": 0, "locked": 0, **dict(rows)}

"""What is stored of sign-on: which person of a provider an account belongs to."""

from uuid import UUID

from psycopg import AsyncConnection

from groundwork.store.database import Database, Row

_ACCOUNT = "u.id, u.name, u.status, u.role, u.generation"
_JOINING = 0x6F696463


async def lock(connection: AsyncConnection) -> None:
    """One sign-on at a time finds or makes its account, until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_JOINING,))


async def by_subject(connection: AsyncConnection, issuer: str, subject: str) -> Row | None:
    """Id, name, status, role and generation of the account of a provider's person."""
    cursor = await connection.execute(
        f"SELECT {_ACCOUNT} FROM user_identities i JOIN users u ON u.id = i.user_id "
        "WHERE i.issuer = %s AND i.subject = %s",
        (issuer, subject),
    )
    return await cursor.fetchone()


async def by_name(connection: AsyncConnection, issuer: str, name: str) -> Row | None:
    """The same of the account of that name, and whether it belongs to somebody of that provider."""
    cursor = await connection.execute(
        f"SELECT {_ACCOUNT}, EXISTS (SELECT FROM user_identities i WHERE i.user_id = u.id AND i.issuer = %s) "
        "FROM users u WHERE u.name = %s",
        (issuer, name),
    )
    return await cursor.fetchone()


async def link(connection: AsyncConnection, issuer: str, subject: str, user: UUID) -> None:
    """An account belongs to that person of a provider from now on."""
    await connection.execute(
        "INSERT INTO user_identities (issuer, subject, user_id) VALUES (%s, %s, %s)", (issuer, subject, user)
    )


async def generation(connection: AsyncConnection, user: UUID) -> int:
    """What tokens of an account have to name."""
    cursor = await connection.execute("SELECT generation FROM users WHERE id = %s", (user,))
    row = await cursor.fetchone()
    return row[0] if row else 0


async def of_account(database: Database, name: str) -> list[Row]:
    """Issuer, subject and time of linking of each person of a provider that an account belongs to."""
    return await database.fetch(
        "SELECT i.issuer, i.subject, i.created_at FROM user_identities i JOIN users u ON u.id = i.user_id "
        "WHERE u.name = %s ORDER BY i.created_at, i.issuer",
        (name,),
    )

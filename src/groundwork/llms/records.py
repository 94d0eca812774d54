"""What is stored of language models: which breakers an operator holds open or closed."""

from psycopg import AsyncConnection

from groundwork.store.database import Database, Row


async def switches(database: Database) -> list[Row]:
    """Provider, position, since when and by whom, of each breaker that does not decide for itself."""
    return await database.fetch("SELECT provider, position, at, actor FROM provider_switches ORDER BY provider")


async def set_switch(connection: AsyncConnection, provider: str, position: str, actor: str) -> None:
    """Holds a breaker in a position."""
    await connection.execute(
        "INSERT INTO provider_switches (provider, position, actor) VALUES (%s, %s, %s) ON CONFLICT (provider) DO UPDATE "
        "SET position = excluded.position, at = now(), actor = excluded.actor",
        (provider, position, actor),
    )


async def clear_switch(connection: AsyncConnection, provider: str) -> None:
    """Lets a breaker decide for itself."""
    await connection.execute("DELETE FROM provider_switches WHERE provider = %s", (provider,))

"""What the security report reads and nobody else does."""

from groundwork.store.database import Database, Row


async def live_keys(database: Database) -> list[Row]:
    """Name, prefix and the moments of making, expiry and last use of the keys that hold, oldest first."""
    return await database.fetch(
        "SELECT name, prefix, created_at, expires_at, last_used_at FROM api_keys "
        "WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) ORDER BY id"
    )


async def signing_secrets(database: Database) -> list[Row]:
    """Id and moment of making of the secrets that tokens are signed with now, oldest first."""
    return await database.fetch(
        "SELECT id, created_at FROM signing_secrets WHERE retires_at IS NULL ORDER BY created_at"
    )


async def admins(database: Database) -> list[str]:
    """Names of the admins who are not disabled."""
    rows = await database.fetch("SELECT name FROM users WHERE role = 'admin' AND status = 'active' ORDER BY name")
    return [row[0] for row in rows]


async def locked(database: Database) -> list[str]:
    """Names of people who have to wait after failed logins."""
    rows = await database.fetch(
        "SELECT u.name FROM users u JOIN login_failures f ON f.kind = 'account' AND f.name = u.name "
        "WHERE u.status = 'active' AND f.blocked_until > now() ORDER BY u.name"
    )
    return [row[0] for row in rows]


async def open_collections(database: Database) -> list[str]:
    """Names of the collections that everyone may read."""
    rows = await database.fetch(
        "SELECT name FROM collections WHERE readable_by_everyone AND NOT starts_with(name, '.') ORDER BY name"
    )
    return [row[0] for row in rows]

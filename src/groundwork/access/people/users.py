"""Accounts: added, changed and removed, every change noted in the audit log in the same transaction."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from psycopg import AsyncConnection

from groundwork.access.audit.log import note
from groundwork.access.names import plain_name
from groundwork.access.people import records
from groundwork.access.people.passwords import Passwords, check_strength, new_password
from groundwork.access.scope import Caller
from groundwork.clock import new_id
from groundwork.errors import Conflict, NotFound
from groundwork.store.database import Database, Row

Role = Literal["admin", "reviewer", "member"]
Forget = Callable[[AsyncConnection, str], Awaitable[None]]
"""Lets go of what a part keeps under a user's name, in the transaction in which they are removed."""


@dataclass(frozen=True)
class People:
    """Every account."""

    database: Database
    passwords: Passwords
    forgets: list[Forget] = field(default_factory=list[Forget])
    """Of the parts above, which add their own."""

    async def add(self, name: str, role: Role, password: str | None, by: Caller) -> dict[str, Any]:
        """Adds somebody. Without a password one is made, which only this answer holds. Raises Conflict, Invalid."""
        name = plain_name(name)
        chosen = password or new_password()
        check_strength(chosen, name)
        hashed = await self.passwords.digest(chosen)
        async with self.database.transaction() as connection:
            if not await records.insert(connection, new_id(), name, role, hashed):
                raise Conflict(f"There is a user named {name!r} already. Choose another name.")
            await note(connection, by.deed("user_added", name, role=role))
        shown = await self.show(name)
        return shown if password else {**shown, "password": chosen}

    async def add_first(self, name: str, by: Caller) -> str | None:
        """Adds the first admin of an installation that has nobody yet; the password, None when there is somebody."""
        if await records.any_at_all(self.database):
            return None
        password = new_password()
        hashed = await self.passwords.digest(password)
        async with self.database.transaction() as connection:
            if not await records.lock_first(connection):
                return None
            await records.insert(connection, new_id(), name, "admin", hashed)
            await note(connection, by.deed("user_added", name, role="admin", first=True))
        return password

    async def page(self, cursor: str | None = None, limit: int = 100) -> dict[str, Any]:
        """People by name, a page at a time."""
        rows = await records.page(self.database, cursor, limit + 1)
        return {
            "items": [body(row) for row in rows[:limit]],
            "next_cursor": rows[limit - 1][1] if len(rows) > limit else None,
        }

    async def show(self, name: str) -> dict[str, Any]:
        """One of them. Raises NotFound."""
        return body(await self._row(name))

    async def set_status(self, name: str, status: Literal["active", "disabled"], by: Caller) -> dict[str, Any]:
        """Lets somebody in again, or shuts them out at once. Raises NotFound, Conflict for the last admin."""
        name = plain_name(name)
        await self._row(name)
        async with self.database.transaction() as connection:
            if status == "disabled":
                await self._keep_an_admin(connection, name)
            await records.set_status(connection, name, status)
            await note(connection, by.deed("user_disabled" if status == "disabled" else "user_enabled", name))
        return await self.show(name)

    async def set_role(self, name: str, role: Role, by: Caller) -> dict[str, Any]:
        """Gives somebody another role, from their next login on. Raises NotFound, Conflict for the last admin."""
        name = plain_name(name)
        before = await self.show(name)
        async with self.database.transaction() as connection:
            if role != "admin":
                await self._keep_an_admin(connection, name)
            await records.set_role(connection, name, role)
            await note(connection, by.deed("role_changed", name, before=before["role"], after=role))
        return await self.show(name)

    async def unlock(self, name: str, by: Caller) -> dict[str, Any]:
        """Forgets somebody's failed logins. Raises NotFound."""
        name = plain_name(name)
        await self._row(name)
        async with self.database.transaction() as connection:
            await records.forget_failures(connection, "account", name)
            await note(connection, by.deed("user_unlocked", name))
        return await self.show(name)

    async def set_password(self, name: str, password: str | None, by: Caller) -> dict[str, Any]:
        """Gives somebody a new password and ends their logins; without one it is made and answered."""
        name = plain_name(name)
        await self._row(name)
        chosen = password or new_password()
        check_strength(chosen, name)
        hashed = await self.passwords.digest(chosen)
        async with self.database.transaction() as connection:
            await records.set_password(connection, name, hashed)
            await records.forget_failures(connection, "account", name)
            await note(connection, by.deed("password_changed", name))
        shown = await self.show(name)
        return shown if password else {**shown, "password": chosen}

    async def erase(self, name: str, by: Caller) -> dict[str, Any]:
        """Removes somebody with their keys, grants and conversations; who it was. What they spent stays in the sums.

        The audit log keeps its entries until they expire. Raises NotFound, Conflict for the last admin.
        """
        name = plain_name(name)
        gone = await self.show(name)
        async with self.database.transaction() as connection:
            await self._keep_an_admin(connection, name)
            await records.forget_failures(connection, "account", name)
            await records.delete(connection, name)
            for forget in self.forgets:
                await forget(connection, name)
            await note(connection, by.deed("user_erased", name))
        return gone

    async def _keep_an_admin(self, connection: AsyncConnection, name: str) -> None:
        row = await records.by_name(self.database, name)
        if row is not None and row[2] == "admin" and not await records.other_active_admins(connection, name):
            raise Conflict(f"{name!r} is the last admin who can sign in. Make somebody else an admin first.")

    async def _row(self, name: str) -> Row:
        row = await records.by_name(self.database, plain_name(name))
        if row is None:
            raise NotFound(f"There is no user named {name!r}. `groundwork users list` lists those there are.")
        return row


def body(row: Row) -> dict[str, Any]:
    """Somebody as every face shows it."""
    key, name, role, status, created, last_login, blocked = row
    return {
        "id": str(key),
        "name": name,
        "role": role,
        "status": "locked" if blocked and status == "active" else status,
        "created_at": created.isoformat(),
        "last_login_at": last_login.isoformat() if last_login else None,
    }

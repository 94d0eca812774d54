"""API keys: random, shown once, kept as a digest, limited to scopes and collections, ended by time or by hand."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from groundwork.access.audit.log import note
from groundwork.access.credentials import records
from groundwork.access.names import plain_name
from groundwork.access.people.users import People
from groundwork.access.scope import OF_ROLE, SCOPES, Caller, readable
from groundwork.clock import new_id, utc_now
from groundwork.errors import Conflict, Invalid, NotFound
from groundwork.store.database import Database, Row

_MARK = "gw_"
_LONGEST_NAME = 100


@dataclass(frozen=True)
class NewKey:
    """A key to be made."""

    name: str
    scopes: Sequence[str]
    user: str | None = None
    """Whose rights it has; None: a program's own."""
    collections: Sequence[str] | None = None
    """The only collections it reaches."""
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Keys:
    """Every API key."""

    database: Database
    people: People

    async def create(self, wanted: NewKey, by: Caller) -> dict[str, Any]:
        """Makes a key; `key` of the answer is shown this once. Raises Invalid, NotFound."""
        _check(wanted)
        owner = None
        if wanted.user is not None:
            owner = plain_name(wanted.user)
            role = (await self.people.show(owner))["role"]
            if excess := sorted(set(wanted.scopes) - OF_ROLE[role]):
                raise Invalid(f"{owner} is {role} and may not do {', '.join(excess)}: leave that scope out.")
        if wanted.collections is not None:
            await readable(self.database, by, wanted.collections)
        key_id, prefix = new_id(), secrets.token_hex(4)
        key = f"{_MARK}{prefix}_{secrets.token_urlsafe(32)}"
        words = (wanted.name.strip(), f"{_MARK}{prefix}", digest(key))
        async with self.database.transaction() as connection:
            await records.insert_key(
                connection, key_id, words, owner, wanted.scopes, wanted.collections, wanted.expires_at
            )
            details = {"scopes": list(wanted.scopes), "prefix": words[1], "user": owner}
            await note(connection, by.deed("key_created", words[0], **details))
        row = await records.key(self.database, key_id)
        assert row is not None
        return {**body(row), "key": key}

    async def page(self, user: str | None = None, cursor: UUID | None = None, limit: int = 100) -> dict[str, Any]:
        """Keys in the order they were made, a page at a time; never the keys themselves."""
        rows = await records.keys(self.database, user, cursor, limit + 1)
        return {
            "items": [body(row) for row in rows[:limit]],
            "next_cursor": str(rows[limit - 1][0]) if len(rows) > limit else None,
        }

    async def revoke(self, named: str, by: Caller) -> dict[str, Any]:
        """Ends a key, named by id, prefix or name. Raises NotFound, Conflict when several have the name."""
        row = await self._find(named)
        async with self.database.transaction() as connection:
            await records.revoke_key(connection, row[0])
            await note(connection, by.deed("key_revoked", row[1], prefix=row[2]))
        after = await records.key(self.database, row[0])
        assert after is not None
        return body(after)

    async def _find(self, named: str) -> Row:
        try:
            row = await records.key(self.database, UUID(named))
            found = [row] if row is not None else []
        except ValueError:
            found = await records.keys_named(self.database, named)
        if not found:
            raise NotFound(f"There is no key {named!r} that holds. `groundwork keys list` lists those there are.")
        if len(found) > 1:
            raise Conflict(f"Several keys are named {named!r}. Name the one you mean by its id or prefix.")
        return found[0]


def digest(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def body(row: Row) -> dict[str, Any]:
    """A key as every face shows it."""
    key_id, name, prefix, user, scopes, collections, created, expires, revoked, used = row
    ended = revoked is not None or (expires is not None and expires <= utc_now())
    return {
        "id": str(key_id),
        "name": name,
        "prefix": prefix,
        "user": user,
        "scopes": scopes,
        "collections": collections,
        "status": "revoked" if revoked is not None else "expired" if ended else "active",
        "created_at": created.isoformat(),
        "expires_at": expires.isoformat() if expires else None,
        "last_used_at": used.isoformat() if used else None,
    }


def _check(wanted: NewKey) -> None:
    name = wanted.name.strip()
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise Invalid(f"A key's name has 1 to {_LONGEST_NAME} printable characters; it says what the key is for.")
    if not wanted.scopes:
        raise Invalid(f"Name what the key may do: --scope, one or several of {', '.join(SCOPES)}.")
    if unknown := sorted(set(wanted.scopes) - set(SCOPES)):
        raise Invalid(f"There is no scope {unknown[0]!r}; the scopes are {', '.join(SCOPES)}.")
    if "admin" in wanted.scopes and wanted.collections is not None:
        raise Invalid(
            "A key that may administer reaches every collection, and can give itself what it lacks: leave out the scope "
            "'admin', or the collections."
        )
    if wanted.expires_at is not None and wanted.expires_at <= utc_now():
        raise Invalid("The key would have expired already: choose a later moment.")

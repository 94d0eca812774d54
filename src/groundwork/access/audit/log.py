"""Writes and verifies the audit log.

Each entry's hash is SHA-256 over the hash of the entry before it and its own content, so that a changed, removed or
inserted entry breaks the chain at that place. What the end of the chain was, only an export kept elsewhere can prove.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from groundwork.access.audit import records
from groundwork.clock import utc_now
from groundwork.store.database import Database, Row

_FIRST = bytes(32)
_BATCH = 1000


@dataclass(frozen=True)
class Deed:
    """Something worth keeping: who did what to whom or what, and from where. Never holds a secret."""

    actor: str
    action: str
    subject: str
    address: str = "local"
    details: dict[str, Any] | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether the chain holds."""

    entries: int
    head: str
    """Hash of the newest entry, in hex: keep it elsewhere to prove that nothing was cut off the end."""
    broken_at: int | None
    reason: str | None

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "whole": self.broken_at is None,
            "entries": self.entries,
            "head": self.head,
            "broken_at": self.broken_at,
            "reason": self.reason,
        }


async def note(connection: AsyncConnection, deed: Deed) -> None:
    """Appends an entry in the caller's transaction: the deed and its trace are kept both or neither."""
    await records.lock(connection)
    last = await records.last(connection)
    number, previous = (last[0] + 1, bytes(last[1])) if last else (1, _FIRST)
    at = utc_now()
    words = (deed.actor, deed.action, deed.subject, deed.address)
    details = deed.details or {}
    own = _hash(previous, number, at, words, details)
    await records.append(connection, number, at, words, details, (previous, own))


async def record(database: Database, deed: Deed) -> None:
    """The same in a transaction of its own."""
    async with database.transaction() as connection:
        await note(connection, deed)


async def page(
    database: Database,
    cursor: int | None = None,
    action: str | None = None,
    actor: str | None = None,
    limit: int = 100,
) -> dict[str, Any]:
    """Entries, newest first, a page at a time."""
    rows = await records.page(database, cursor, action, actor, limit + 1)
    return {
        "items": [body(row) for row in rows[:limit]],
        "next_cursor": rows[limit - 1][0] if len(rows) > limit else None,
    }


async def export(database: Database) -> AsyncIterator[dict[str, Any]]:
    """Every entry with its hashes, oldest first."""
    after = -1
    while rows := await records.from_number(database, after, _BATCH):
        for row in rows:
            yield {**body(row), "previous": bytes(row[7]).hex(), "hash": bytes(row[8]).hex()}
        after = rows[-1][0]


async def verify(database: Database) -> Verdict:
    """Follows the chain from the oldest entry that is kept to the newest."""
    entries, after = 0, -1
    previous: bytes | None = None
    while rows := await records.from_number(database, after, _BATCH):
        for row in rows:
            number, at, *words, details, said, own = row
            if previous is not None and number != after + 1:
                return Verdict(entries, previous.hex(), after + 1, "Entries are missing here.")
            if previous is not None and bytes(said) != previous:
                return Verdict(entries, previous.hex(), number, "It does not follow from the entry before it.")
            if _hash(bytes(said), number, at, (words[0], words[1], words[2], words[3]), details) != bytes(own):
                return Verdict(entries, (previous or _FIRST).hex(), number, "Its content was changed.")
            previous, after, entries = bytes(own), number, entries + 1
    return Verdict(entries, (previous or _FIRST).hex(), None, None)


async def prune(database: Database, days: int, actor: str) -> int:
    """Forgets entries older than `days`, and notes that; the last of them stays as the chain's beginning."""
    async with database.transaction() as connection:
        await records.lock(connection)
        gone = await records.delete_before(connection, utc_now() - timedelta(days=days))
        if gone:
            await note(connection, Deed(actor, "audit_pruned", f"{gone} entries", details={"older_than_days": days}))
    return gone


def body(row: Row) -> dict[str, Any]:
    """An entry as every face shows it."""
    number, at, actor, action, subject, address, details, *_ = row
    return {
        "id": number,
        "at": at.isoformat(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "address": address,
        "details": details,
    }


def _hash(
    previous: bytes, number: int, at: datetime, words: tuple[str, str, str, str], details: dict[str, Any]
) -> bytes:
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    content = json.dumps([number, moment, *words, details], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(previous + content.encode()).digest()

"""What the lexical follower reads from the database: its place in the feed of changes, and the chunks behind it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from groundwork.lexical import Entry
from groundwork.store.database import Database

CHANNEL = "groundwork_changes"
"""PostgreSQL notifies on it when documents changed visibly."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in the feed of changes: everything before it, in this order, has been seen."""

    xid: int
    id: int


@dataclass(frozen=True)
class Horizon:
    """The database as a follower finds it."""

    installation: UUID
    epoch: int
    settled: int
    """Transactions below this id have ended; changes of later ones may still appear out of order."""
    begun: int
    """Transactions from this id on had not begun yet; everything committed so far is below it."""


async def horizon(database: Database) -> Horizon:
    """Which database this is, and how far its feed can be read without skipping a change.

    Only transactions of this database hold the horizon back: a long one elsewhere on the server writes no change here.
    The snapshot is taken before the locks are read, so that a transaction missed by both has ended and can be seen.
    """
    row = await database.fetch_one(
        "SELECT i.id, i.epoch, pg_snapshot_xmax(s)::text::bigint, (SELECT array_agg(l.transactionid::text::bigint) "
        "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'transactionid' "
        "AND l.mode = 'ExclusiveLock' AND a.datname = current_database()) FROM installation i, pg_current_snapshot() AS s"
    )
    assert row is not None, "the first migration writes this row"
    installation, epoch, begun, running = row
    return Horizon(installation, epoch, min([begun, *(_widened(xid, begun) for xid in running or ())]), begun)


def _widened(xid: int, near: int) -> int:
    """A 32-bit transaction id with the epoch it has, given one not far from it."""
    full = near & ~0xFFFFFFFF | xid
    return full - (1 << 32) if full > near + (1 << 31) else full


async def changes(database: Database, after: Position, settled: int, limit: int) -> list[tuple[Position, UUID]]:
    """Up to `limit` changes after `after` of transactions that have ended, in the order of the feed."""
    rows = await database.fetch(
        "SELECT xid::text::bigint, id, document_id FROM changes "
        "WHERE (xid, id) > (%s::text::xid8, %s) AND xid < %s::text::xid8 ORDER BY xid, id LIMIT %s",
        (str(after.xid), after.id, str(settled), limit),
    )
    return [(Position(xid, number), document_id) for xid, number, document_id in rows]


async def entries(database: Database, documents: Sequence[UUID]) -> list[Entry]:
    """The chunks of those documents as they are now; nothing for a document that is gone."""
    rows = await database.fetch(
        "SELECT c.id, c.document_id, c.collection_id, d.source_id, v.media_type, v.language, v.title, c.heading_path, "
        "c.text, d.tags, d.live_since "
        "FROM chunks c JOIN documents d ON d.id = c.document_id AND d.live_version = c.version_id "
        "JOIN document_versions v ON v.id = c.version_id WHERE c.document_id = ANY(%s)",
        (list(documents),),
    )
    return [
        Entry(
            chunk,
            document,
            collection,
            source,
            media_type,
            language,
            _titled(title, headings),
            text,
            tuple(tags),
            since,
        )
        for chunk, document, collection, source, media_type, language, title, headings, text, tags, since in rows
    ]


def _titled(title: str, headings: Sequence[str]) -> str:
    return "\n".join([title, *headings])


async def all_documents(database: Database, batch: int) -> AsyncIterator[list[UUID]]:
    """Every document with a live version, in batches by id."""
    last = UUID(int=0)
    while rows := await database.fetch(
        "SELECT id FROM documents WHERE id > %s AND live_version IS NOT NULL ORDER BY id LIMIT %s", (last, batch)
    ):
        yield [row[0] for row in rows]
        last = rows[-1][0]

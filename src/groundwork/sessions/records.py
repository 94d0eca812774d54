"""What is stored of conversations. A turn is read only with the collections its reader may read: the others come empty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from groundwork.store.database import Database


@dataclass(frozen=True)
class Session:
    """A conversation, as one of its readers sees it."""

    id: UUID
    title: str | None
    """None: it is a question whose answer came from what the reader may not read any more."""
    turn_count: int
    created_at: datetime
    updated_at: datetime
    """When it was asked something last, or begun."""

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "id": str(self.id),
            "title": self.title,
            "turn_count": self.turn_count,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


@dataclass(frozen=True)
class Owner:
    """Whose conversations, and the collections that their reader may read this moment."""

    account: str
    readable: Sequence[UUID]
    own_words: bool = False
    """Whether what the owner wrote is read even so, as for an export of all that is stored about somebody."""

    def and_more(self, **more: object) -> Mapping[str, object]:
        """Parameters of a query that narrows by `_OWN`."""
        own = {"account": self.account, "readable": list(self.readable), "own_words": self.own_words}
        return {**own, **more}


@dataclass(frozen=True)
class TurnRow:
    """A turn, as one of its readers sees it; without its texts when it is withheld."""

    number: int
    at: datetime
    question: str | None
    answer: dict[str, Any] | None
    collections: list[UUID]

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        question = {} if self.question is None else {"question": self.question}
        answer = {} if self.answer is None else {"answer": self.answer}
        withheld = self.answer is None
        return {"number": self.number, "at": self.at.isoformat(), "withheld": withheld, **question, **answer}


_SESSION: LiteralString = (
    "SELECT s.id, CASE WHEN %(own_words)s OR s.title_collections <@ %(readable)s::uuid[] THEN s.title END, s.turn_count, "
    "s.created_at, s.updated_at FROM sessions s "
)
_OWN: LiteralString = (
    "s.owner = %(account)s AND s.user_id IS NOT DISTINCT FROM (SELECT u.id FROM users u WHERE u.name = %(account)s) "
)
_TURN: LiteralString = (
    "SELECT t.number, t.at, CASE WHEN %(own_words)s OR t.collections <@ %(readable)s::uuid[] THEN t.question END, "
    "CASE WHEN t.collections <@ %(readable)s::uuid[] THEN t.answer END, t.collections FROM session_turns t "
)


async def insert(connection: AsyncConnection, session_id: UUID, account: str, title: str) -> Session:
    """A new conversation of an account."""
    cursor = await connection.execute(
        "INSERT INTO sessions (id, owner, user_id, title) "
        "VALUES (%(id)s, %(account)s, (SELECT id FROM users WHERE name = %(account)s), %(title)s) "
        "RETURNING id, title, turn_count, created_at, updated_at",
        {"id": session_id, "account": account, "title": title},
    )
    row = await cursor.fetchone()
    assert row is not None
    return Session(*row)


async def session(database: Database, owner: Owner, session_id: UUID) -> Session | None:
    """One conversation of an account; None when it has no such."""
    row = await database.fetch_one(_SESSION + "WHERE s.id = %(id)s AND " + _OWN, owner.and_more(id=session_id))
    return Session(*row) if row else None


async def page(database: Database, owner: Owner, before: tuple[datetime, UUID] | None, limit: int) -> list[Session]:
    """Conversations of an account, the one asked last first, from the one after `before`."""
    moment, last = before or (None, None)
    rows = await database.fetch(
        _SESSION + "WHERE " + _OWN + "AND (%(moment)s::timestamptz IS NULL "
        "OR (s.updated_at, s.id) < (%(moment)s::timestamptz, %(last)s::uuid)) "
        "ORDER BY s.updated_at DESC, s.id DESC LIMIT %(limit)s",
        owner.and_more(moment=moment, last=last, limit=limit),
    )
    return [Session(*row) for row in rows]


async def turns(database: Database, owner: Owner, session_id: UUID, after: int, limit: int) -> list[TurnRow]:
    """Turns of a conversation of the owner after a number, in their order."""
    rows = await database.fetch(
        _TURN + "WHERE t.session_id = %(id)s AND t.number > %(after)s ORDER BY t.number LIMIT %(limit)s",
        owner.and_more(id=session_id, after=after, limit=limit),
    )
    return [TurnRow(*row) for row in rows]


@dataclass(frozen=True)
class Turn:
    """A question and the text of its answer, for the question after it."""

    number: int
    question: str
    answer_text: str
    collections: frozenset[UUID]
    """Whose passages it was made from: what is made from the turn is made from these too."""
    at: datetime


async def recent(database: Database, session_id: UUID, last: int, limit: int) -> list[Turn]:
    """The turns up to a number, `limit` of them, whoever may read them."""
    rows = await database.fetch(
        "SELECT number, question, coalesce(answer ->> 'answer', ''), collections, at FROM session_turns "
        "WHERE session_id = %s AND number > %s AND number <= %s ORDER BY number",
        (session_id, last - limit, last),
    )
    return [Turn(number, question, text, frozenset(among), at) for number, question, text, among, at in rows]


async def hold(connection: AsyncConnection, account: str, session_id: UUID) -> tuple[int, datetime] | None:
    """Number and time of a conversation's last turn; nobody else adds one until the transaction ends. None without it."""
    cursor = await connection.execute(
        "SELECT s.turn_count, s.updated_at FROM sessions s WHERE s.id = %(id)s AND " + _OWN + "FOR UPDATE OF s",
        {"id": session_id, "account": account},
    )
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else None


async def add(
    connection: AsyncConnection,
    session_id: UUID,
    number: int,
    question: str,
    answer: Mapping[str, Any],
    collections: Sequence[UUID],
) -> datetime:
    """Adds a turn to a conversation that is held; its time, which is the conversation's too."""
    cursor = await connection.execute(
        "UPDATE sessions SET turn_count = %(number)s, updated_at = clock_timestamp(), "
        "title_collections = CASE WHEN %(number)s = 1 THEN %(collections)s::uuid[] ELSE title_collections END "
        "WHERE id = %(id)s RETURNING updated_at",
        {"id": session_id, "number": number, "collections": list(collections)},
    )
    row = await cursor.fetchone()
    assert row is not None
    await connection.execute(
        "INSERT INTO session_turns (session_id, number, at, question, answer, collections) VALUES (%s, %s, %s, %s, %s, %s)",
        (session_id, number, row[0], question, Jsonb(dict(answer)), list(collections)),
    )
    return row[0]


async def rename(connection: AsyncConnection, account: str, session_id: UUID, title: str) -> bool:
    """Gives a conversation a title of its owner's own words; False when the account has no such."""
    cursor = await connection.execute(
        "UPDATE sessions s SET title = %(title)s, title_collections = '{}' WHERE s.id = %(id)s AND " + _OWN,
        {"id": session_id, "account": account, "title": title},
    )
    return cursor.rowcount == 1


async def delete(connection: AsyncConnection, account: str, session_id: UUID) -> bool:
    """Removes a conversation with its turns; False when the account has no such."""
    cursor = await connection.execute(
        "DELETE FROM sessions s WHERE s.id = %(id)s AND " + _OWN, {"id": session_id, "account": account}
    )
    return cursor.rowcount == 1


async def delete_idle(connection: AsyncConnection, since: datetime) -> int:
    """Removes conversations that were last asked something before a moment; how many."""
    cursor = await connection.execute("DELETE FROM sessions WHERE updated_at < %s", (since,))
    return cursor.rowcount


async def counts(database: Database) -> dict[str, int]:
    """How many conversations and turns there are."""
    row = await database.fetch_one("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM session_turns)")
    return dict(zip(("sessions", "turns"), row or (0, 0), strict=True))

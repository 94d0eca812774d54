"""Conversations: begun, gone on with, listed, shown, renamed, exported and removed, each by its owner alone."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from groundwork.access.scope import Caller, all_readable
from groundwork.caches import Cache
from groundwork.clock import new_id, utc_now
from groundwork.errors import Invalid, NotFound
from groundwork.sessions import records
from groundwork.sessions.recent import Recent
from groundwork.sessions.records import Owner, Session, Turn, TurnRow
from groundwork.settings.models import SessionSettings
from groundwork.store.database import Database

LONGEST_TITLE = 200
_LONGEST_MADE_TITLE = 60
_MOST_PER_PAGE = 500
_AT_ONCE = 200
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Sessions:
    """Every conversation. What belongs to somebody else is not there, as far as a caller can tell."""

    def __init__(self, database: Database, cache: Cache, settings: SessionSettings) -> None:
        self._database = database
        self._settings = settings
        self._recent = Recent(cache, settings.recent_turns)

    async def begin(self, account: str, question: str) -> Session:
        """A new conversation of an account, named after its first question."""
        async with self._database.transaction() as connection:
            return await records.insert(connection, new_id(), account, title_of(question))

    async def history(self, caller: Caller, session_id: UUID | str) -> list[Turn]:
        """The last turns of a conversation that the caller may still read, oldest first. Raises NotFound."""
        owner = await self._owner(caller)
        session = await self._session(owner, session_id)
        turns = await self._recent.of(session)
        if turns is None:
            most = self._settings.recent_turns
            turns = await records.recent(self._database, session.id, session.turn_count, most)
            if turns:
                await self._recent.remember(session.id, turns)
        readable = set(owner.readable)
        return [turn for turn in turns if turn.collections <= readable]

    async def add(
        self,
        session_id: UUID | str,
        account: str,
        question: str,
        body: Mapping[str, Any],
        collections: Iterable[UUID],
    ) -> int:
        """Keeps a question and its answer as the next turn; its number. Raises NotFound, also when it was removed meanwhile.

        `body` is the answer as the caller was given it. `collections` are those whose passages it was made from, with
        those of every turn of the history that it was made with: who may not read one of them is not shown the turn.
        """
        key, among = _id(session_id), sorted(set(collections))
        question, answer = _storable(question), cast("dict[str, Any]", _storable(dict(body)))
        async with self._database.transaction() as connection:
            held = await records.hold(connection, account, key)
            if held is None:
                raise _missing(session_id)
            number = held[0] + 1
            at = await records.add(connection, key, number, question, answer, among)
        turn = Turn(number, question, str(answer.get("answer") or ""), frozenset(among), at)
        await self._recent.follow(key, turn, held[1])
        return number

    async def page(self, caller: Caller, cursor: str | None = None, limit: int = 100) -> dict[str, Any]:
        """The caller's conversations, the one asked last first, a page at a time. Raises Invalid."""
        before = _place(cursor) if cursor else None
        found = await records.page(self._database, await self._owner(caller), before, _checked(limit) + 1)
        following = _cursor(found[limit - 1]) if len(found) > limit else None
        return {"items": [each.body() for each in found[:limit]], "next_cursor": following}

    async def show(self, caller: Caller, session_id: UUID | str, cursor: int = 0, limit: int = 100) -> dict[str, Any]:
        """One conversation with its turns, the first first, a page at a time. Raises NotFound, Invalid."""
        owner = await self._owner(caller)
        session = await self._session(owner, session_id)
        turns = await records.turns(self._database, owner, session.id, cursor, _checked(limit) + 1)
        following = turns[limit - 1].number if len(turns) > limit else None
        return {**session.body(), "turns": [turn.body() for turn in turns[:limit]], "next_cursor": following}

    async def rename(self, caller: Caller, session_id: UUID | str, title: str) -> dict[str, Any]:
        """Gives a conversation another title; the conversation. Raises NotFound, Invalid."""
        title = " ".join(_storable(title).split())
        if not 1 <= len(title) <= LONGEST_TITLE or not title.isprintable():
            raise Invalid(f"A title has 1 to {LONGEST_TITLE} printable characters.")
        key = _id(session_id)
        async with self._database.transaction() as connection:
            if not await records.rename(connection, caller.account, key, title):
                raise _missing(session_id)
        await self._recent.forget(key)
        return (await self._session(await self._owner(caller), key)).body()

    async def delete(self, caller: Caller, session_id: UUID | str) -> dict[str, Any]:
        """Removes a conversation; what it was. Raises NotFound."""
        session = await self._session(await self._owner(caller), session_id)
        async with self._database.transaction() as connection:
            if not await records.delete(connection, caller.account, session.id):
                raise _missing(session_id)
        await self._recent.forget(session.id)
        return session.body()

    async def export(self, caller: Caller, session_id: UUID | str) -> dict[str, Any]:
        """One conversation with all its turns. Raises NotFound."""
        owner = await self._owner(caller)
        session = await self._session(owner, session_id)
        return {**session.body(), "turns": [turn.body() for turn in await self._turns(owner, session.id)]}

    async def everything_of(self, caller: Caller) -> list[dict[str, Any]]:
        """All conversations of somebody with all their turns, for an export of what is stored about them.

        Their own questions are theirs whatever they may read now; answers are withheld as everywhere.
        """
        owner = replace(await self._owner(caller), own_words=True)
        found: list[dict[str, Any]] = []
        before: tuple[datetime, UUID] | None = None
        while sessions := await records.page(self._database, owner, before, _AT_ONCE):
            for session in sessions:
                turns = [turn.body() for turn in await self._turns(owner, session.id)]
                found.append({**session.body(), "turns": turns})
            before = (sessions[-1].updated_at, sessions[-1].id)
        return found

    async def forget_idle(self) -> int:
        """Removes conversations that were asked nothing for as long as they are kept; how many."""
        since = utc_now() - timedelta(days=self._settings.retention_days)
        async with self._database.transaction() as connection:
            return await records.delete_idle(connection, since)

    async def _owner(self, caller: Caller) -> Owner:
        return Owner(caller.account, await all_readable(self._database, caller))

    async def _session(self, owner: Owner, session_id: UUID | str) -> Session:
        session = await records.session(self._database, owner, _id(session_id))
        if session is None:
            raise _missing(session_id)
        return session

    async def _turns(self, owner: Owner, session_id: UUID) -> list[TurnRow]:
        found: list[TurnRow] = []
        last = 0
        while more := await records.turns(self._database, owner, session_id, last, _AT_ONCE):
            found += more
            last = more[-1].number
        return found


def title_of(question: str) -> str:
    """A short title made from a question: its first words, in one line."""
    line = "".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in question)
    words = " ".join(line.split())
    if len(words) <= _LONGEST_MADE_TITLE:
        return words or "Conversation"
    cut = words[:_LONGEST_MADE_TITLE]
    return (cut.rpartition(" ")[0] or cut) + "…"


def _missing(session_id: UUID | str) -> NotFound:
    return NotFound(f"There is no conversation {session_id}. `groundwork sessions list` lists yours.")


def _id(text: UUID | str) -> UUID:
    """The id in a text. Raises NotFound: nothing has an id that is none."""
    try:
        return text if isinstance(text, UUID) else UUID(text)
    except ValueError:
        raise _missing(text) from None


def _cursor(session: Session) -> str:
    return f"{(session.updated_at - _EPOCH) // _MICROSECOND}.{session.id}"


def _place(cursor: str) -> tuple[datetime, UUID]:
    moment, _, last = cursor.partition(".")
    try:
        return _EPOCH + int(moment) * _MICROSECOND, UUID(last)
    except (ValueError, OverflowError):
        raise Invalid(f"{cursor!r} is not a cursor; use `next_cursor` of the page before.") from None


def _checked(limit: int) -> int:
    if not 1 <= limit <= _MOST_PER_PAGE:
        raise Invalid(f"`limit` goes from 1 to {_MOST_PER_PAGE}.")
    return limit


def _storable(value: Any) -> Any:
    """The same, with a replacement character for each that PostgreSQL cannot hold: models write what they like."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_storable(key): _storable(each) for key, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_storable(each) for each in cast("list[Any]", value)]
    return value

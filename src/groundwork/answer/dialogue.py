"""What a question stands in: a conversation that is kept here, one that the caller keeps, or none."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from groundwork.access.scope import ANYONE, Caller
from groundwork.answer.prompt import Exchange
from groundwork.retrieve import records
from groundwork.sessions import NEW
from groundwork.sessions.conversations import Sessions
from groundwork.store.database import Database


@dataclass(frozen=True)
class Dialogue:
    """What surrounds a question, as the caller says it."""

    caller: Caller = ANYONE
    session_id: str | None = None
    """`new` begins a conversation, an id goes on with one, None keeps none."""
    history: tuple[Exchange, ...] = ()
    """What was said before, from a caller that keeps the conversation itself."""
    private: bool = False
    """Only models of tier 0 may be asked."""
    instructions: str = ""
    """What the calling program wants of the answer's form."""
    generate: bool = True
    """Whether a model may write the answer; else it is made of the documents' own sentences."""


@dataclass(frozen=True)
class Thread:
    """A conversation as it stands before a question."""

    account: str
    history: tuple[Exchange, ...] = ()
    private: bool = False
    instructions: str = ""
    generate: bool = True
    session: UUID | None = None
    begins: bool = False
    drawn: frozenset[UUID] = frozenset()
    """Whose passages the history was made from: what is made from it is made from these too."""


class Dialogues:
    """Opens conversations for questions, and keeps what was said."""

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self._database = database
        self._sessions = sessions

    async def open(self, dialogue: Dialogue) -> Thread:
        """The conversation so far. Raises NotFound for one that is not the caller's."""
        account = dialogue.caller.account
        if dialogue.session_id is None or dialogue.session_id == NEW:
            begins = dialogue.session_id == NEW
            return Thread(
                account, dialogue.history, dialogue.private, dialogue.instructions, dialogue.generate, begins=begins
            )
        turns = await self._sessions.history(dialogue.caller, dialogue.session_id)
        session = UUID(dialogue.session_id)
        drawn = frozenset(each for turn in turns for each in turn.collections)
        private = dialogue.private or await records.any_private(self._database, drawn)
        said = tuple(Exchange(turn.question, turn.answer_text) for turn in turns)
        history = (*said, *dialogue.history)
        return Thread(account, history, private, dialogue.instructions, dialogue.generate, session, drawn=drawn)

    async def keep(self, thread: Thread, question: str, body: dict[str, Any], seen: Collection[UUID]) -> str | None:
        """Keeps a question with its answer, or with what was said of one; the conversation's id, when there is one.

        Raises NotFound when it was deleted meanwhile.
        """
        if thread.session is None and not thread.begins:
            return None
        if not body["answer"]:
            return str(thread.session) if thread.session else None
        session = thread.session or (await self._sessions.begin(thread.account, question)).id
        kept = {**body, "session_id": str(session)}
        await self._sessions.add(session, thread.account, question, kept, {*seen, *thread.drawn})
        return str(session)

"""The last turns of conversations in the cache, one key for each conversation.

What is remembered is used only while its last turn is the one the record names, by number and time: so a value that was
not forgotten in time, or is from before a restore, is never taken for the present one. Whoever asks has been looked up in
the record before. A cache that fails costs a read of the record, and nothing else.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from groundwork.caches import Cache
from groundwork.errors import Unavailable
from groundwork.sessions.records import Session, Turn

SECONDS = 600.0
"""How long turns are remembered; what was removed is at most so long in the cache, and is not shown from there."""


@dataclass(frozen=True)
class Recent:
    """The last `most` turns of each conversation."""

    cache: Cache
    most: int

    async def of(self, session: Session) -> list[Turn] | None:
        """What is remembered of a conversation as the record has it now; None when that is nothing."""
        with suppress(Unavailable):
            turns = _read(await self.cache.get(_key(session.id)))
            last = (session.turn_count, session.updated_at)
            if turns and (turns[-1].number, turns[-1].at) == last and len(turns) >= min(session.turn_count, self.most):
                return turns[-self.most :]
        return None

    async def remember(self, session_id: UUID, turns: Sequence[Turn]) -> None:
        """Remembers the last turns of a conversation."""
        with suppress(Unavailable):
            await self.cache.set(_key(session_id), _written(turns), SECONDS)

    async def follow(self, session_id: UUID, turn: Turn, former: datetime) -> None:
        """Adds a turn that has just been kept to what is remembered, if that ends at the turn before it, of time `former`."""

        def change(value: bytes | None) -> tuple[bytes | None, None]:
            before = _read(value)
            whole = (before[-1].number, before[-1].at) == (turn.number - 1, former) if before else turn.number == 1
            return (_written([*before, turn][-self.most :]) if whole else None), None

        with suppress(Unavailable):
            await self.cache.update(_key(session_id), change, SECONDS)

    async def forget(self, session_id: UUID) -> None:
        """Forgets a conversation."""
        with suppress(Unavailable):
            await self.cache.delete(_key(session_id))


def _key(session_id: UUID) -> str:
    return f"session:{session_id}"


def _written(turns: Sequence[Turn]) -> bytes:
    lines: list[dict[str, Any]] = [
        {
            "number": turn.number,
            "question": turn.question,
            "answer_text": turn.answer_text,
            "collections": [str(each) for each in turn.collections],
            "at": turn.at.isoformat(),
        }
        for turn in turns
    ]
    return json.dumps(lines).encode()


def _read(value: bytes | None) -> list[Turn]:
    """The turns in a value; none in one that nobody here wrote."""
    if value is None:
        return []
    try:
        return [
            Turn(
                line["number"],
                line["question"],
                line["answer_text"],
                frozenset(UUID(each) for each in line["collections"]),
                datetime.fromisoformat(line["at"]),
            )
            for line in json.loads(value)
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []

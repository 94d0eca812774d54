"""An answer that a model writes, with its citations bound to sentences of passages while it is being written."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from groundwork.answer.cite import Citation, check
from groundwork.answer.events import Answer, Event
from groundwork.answer.generate import Generator, NoModel, Task
from groundwork.answer.marks import Mark, Marks, Words
from groundwork.answer.prompt import NO_ANSWER
from groundwork.answer.sentences import sentences
from groundwork.answer.support import supporting
from groundwork.embedders import Embedder
from groundwork.retrieve.search import Passage
from groundwork.store.database import Database
from groundwork.telemetry import metrics

UNRESOLVED = "[?]"
"""Stands where the model named a passage that it was not given."""


@dataclass
class Writer:
    """Turns the pieces of one model's text into events, and keeps what was said."""

    database: Database
    embedder: Embedder
    passages: Sequence[Passage]
    answer: Answer = field(default_factory=lambda: Answer("", "generated"))
    given: int = 0
    """How many of the passages the model has seen: the first ones."""
    _marks: Marks = field(default_factory=Marks)
    _numbers: dict[tuple[UUID, int, int], int] = field(default_factory=dict[tuple[UUID, int, int], int])
    _marked: int = 0
    """Where the text behind the last mark begins."""
    _opening: str | None = ""
    """The first words, as long as they may turn out to be NO_ANSWER; None once that is settled."""

    async def events(self, generator: Generator, task: Task) -> AsyncGenerator[Event]:
        """`delta` and `citation` as it is written. Raises NoModel, OverBudget, ModelFailed, StoreUnavailable."""
        began = time.perf_counter()
        try:
            async with aclosing(generator.stream(task, self.answer.spent)) as pieces:
                async for piece in pieces:
                    for part in self._marks.feed(self._settled(piece)):
                        if not self.answer.text:
                            self.answer.timings_ms["first_token"] = _ms(began)
                        async for event in self._tell(part):
                            yield event
            held = self._opening or ""
            if held.strip() == NO_ANSWER:
                self.answer.mode = "none"
            rest = [*self._marks.feed(held), *self._marks.rest()] if self.answer.mode != "none" else []
            for part in rest:
                async for event in self._tell(part):
                    yield event
        finally:
            self.answer.timings_ms["generate"] = _ms(began)
            self.answer.text = self.answer.text.rstrip()
        if not self.answer.text.strip() and self.answer.mode != "none":
            raise NoModel(f"{self.answer.spent.provider}: it said nothing")

    def give(self, number: int) -> None:
        """Takes in how many of the passages fitted."""
        self.given = number

    def _settled(self, piece: str) -> str:
        """What may be told by now of the beginning; nothing while it may still be NO_ANSWER."""
        if self._opening is None:
            return piece
        self._opening += piece
        opening = self._opening.lstrip()
        if opening.startswith(NO_ANSWER):
            self.answer.mode = "none"
            return ""
        if NO_ANSWER.startswith(opening):
            return ""
        self._opening = None
        return opening

    async def _tell(self, part: Words | Mark) -> AsyncGenerator[Event]:
        if isinstance(part, Words):
            self.answer.text += part.text
            yield Event("delta", {"text": part.text})
            return
        start, end = self._statement()
        for number in part.numbers:
            citation = await self._cite(number, start, end)
            mark = UNRESOLVED if citation is None else f"[{citation.index}]"
            self.answer.text += mark
            yield Event("delta", {"text": mark})
            if citation is not None:
                self.answer.citations.append(citation)
                yield Event("citation", citation.body())
        self._marked = len(self.answer.text)

    def _statement(self) -> tuple[int, int]:
        """The sentence that a mark here stands behind: between the last mark and this one."""
        behind = self.answer.text[self._marked :]
        found = sentences(behind)
        if not found:
            return self.answer.citations[-1].span if self.answer.citations else (self._marked, len(self.answer.text))
        last = found[-1]
        return self._marked + last.start, self._marked + last.end

    async def _cite(self, number: int, start: int, end: int) -> Citation | None:
        """The sentence of passage `number` that bears out the statement between two offsets; None without a passage."""
        if not 1 <= number <= self.given:
            self.answer.unresolved += 1
            metrics.citations_unresolved(1)
            return None
        statement = self.answer.text[start:end]
        quote = await asyncio.to_thread(supporting, statement, self.passages[number - 1], self.embedder)
        place = (quote.passage.chunk.chunk_id, quote.start, quote.end)
        index = self._numbers.setdefault(place, len(self._numbers) + 1)
        return await check(self.database, Citation(index, start, end, quote, verified=False))


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)

"""The one path of a question: passages, then an answer from them, as events that every face shows its own way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from groundwork.answer.cite import Citation, compose, verify
from groundwork.answer.extract import Extraction, extract
from groundwork.errors import GroundworkError
from groundwork.retrieve.search import Found, Question, Searcher
from groundwork.spaces.active import ActiveSpace
from groundwork.store.database import Database

Mode = Literal["generated", "extracted", "verified", "none"]
EventName = Literal["passages", "delta", "citation", "progress", "done", "error"]

NOTHING_FOUND = "The documents do not say anything that bears on this question."
STAGES = ("embed", "dense", "lexical", "fuse", "hydrate", "rerank", "generate")


@dataclass(frozen=True)
class Event:
    """One event of an answer. `data` is what goes over the wire."""

    name: EventName
    data: dict[str, Any]


@dataclass
class Answer:
    """An answer with its citations."""

    text: str
    mode: Mode
    citations: list[Citation] = field(default_factory=list[Citation])
    timings_ms: dict[str, float] = field(default_factory=dict[str, float])

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "answer": self.text,
            "mode": self.mode,
            "session_id": None,
            "citations": [citation.body() for citation in self.citations],
            "usage": {"provider": None, "model": None, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0"},
            "timings_ms": {stage: self.timings_ms.get(stage, 0.0) for stage in STAGES},
        }


@dataclass(frozen=True)
class Asker:
    """Answers questions from the documents in scope."""

    database: Database
    searcher: Searcher
    space: Callable[[], ActiveSpace]
    sentences: int
    least_bearing: float

    async def ask(self, question: Question) -> Answer:
        """The whole answer at once. Raises what the search raises."""
        found = await self.searcher.search(question)
        return await self._answer(question, found)

    async def stream(self, question: Question) -> AsyncIterator[Event]:
        """The events of one answer, `done` or `error` the last of them; never raises a GroundworkError."""
        try:
            found = await self.searcher.search(question)
            yield Event("passages", {"passages": [passage.body() for passage in found.passages]})
            answer = await self._answer(question, found)
            for event in _tell(answer):
                yield event
        except GroundworkError as error:
            yield Event("error", {"kind": error.kind, "message": error.message})

    async def _answer(self, question: Question, found: Found) -> Answer:
        began = time.perf_counter()
        space = self.space()
        extraction = await asyncio.to_thread(extract, question.text, found.passages, space.embedder, self.sentences)
        answer = await self._compose(extraction)
        found.timings_ms["generate"] = round((time.perf_counter() - began) * 1000, 3)
        answer.timings_ms = found.timings_ms
        return answer

    async def _compose(self, extraction: Extraction) -> Answer:
        if not extraction.quotes or extraction.bearing < self.least_bearing:
            return Answer(NOTHING_FOUND, "none")
        statements = await verify(self.database, compose(extraction.quotes))
        text = "".join(statement.text for statement in statements)
        return Answer(text, "extracted", [statement.citation for statement in statements])


def _tell(answer: Answer) -> list[Event]:
    """An answer that is already whole, told as a stream would."""
    events: list[Event] = []
    at = 0
    for citation in answer.citations:
        end = answer.text.find("]", citation.answer_end) + 1
        events.append(Event("delta", {"text": answer.text[at:end]}))
        events.append(Event("citation", citation.body()))
        at = end
    if answer.text[at:]:
        events.append(Event("delta", {"text": answer.text[at:]}))
    return [*events, Event("done", answer.body())]

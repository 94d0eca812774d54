"""The one path of a question: passages, then an answer from them, as events that every face shows its own way."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from groundwork.answer import prompt
from groundwork.answer.cite import compose, verify
from groundwork.answer.dialogue import Dialogue, Dialogues, Thread
from groundwork.answer.events import NOTHING_FOUND, Answer, Event, tell
from groundwork.answer.extract import extract
from groundwork.answer.generate import Generator, NoModel, Task, blame
from groundwork.answer.remember import Memory, key_of
from groundwork.answer.write import Writer
from groundwork.errors import GroundworkError, OverBudget, Unavailable
from groundwork.llms import ModelFailed
from groundwork.retrieve import records
from groundwork.retrieve.request import settled
from groundwork.retrieve.search import MAX_QUERY_CHARACTERS, Found, Question, Searcher
from groundwork.settings import AnswerSettings
from groundwork.spaces.active import ActiveSpace
from groundwork.store.database import Database

_REWRITE_SECONDS = 10.0
_LONGEST_REWRITTEN = 600


@dataclass(frozen=True)
class Policy:
    """What decides how answers are made, besides the question."""

    answer: AnswerSettings
    private: bool
    """Everything is: nothing leaves tier 0."""
    extract_over_budget: bool
    """Whether who cannot pay gets the documents' own sentences instead of a refusal."""
    retrieval: tuple[object, ...] = ()
    """What else answers depend on, for the key they are remembered by."""


@dataclass(frozen=True)
class Asker:
    """Answers questions from the documents in scope."""

    database: Database
    searcher: Searcher
    space: Callable[[], ActiveSpace]
    generator: Generator
    dialogues: Dialogues
    memory: Memory
    policy: Policy

    async def ask(self, question: Question, dialogue: Dialogue) -> dict[str, Any]:
        """The body of the whole answer.

        Raises what the search raises, NotFound for a conversation that is not the caller's, OverBudget, and Unavailable
        when an answer that had begun broke off; what was said stands in its details.
        """
        async with aclosing(self._events(question, await self._thread(dialogue))) as events:
            async for event in events:
                if event.name == "done":
                    return event.data
                if event.name == "error":
                    raise Unavailable(event.data["message"], **{each: event.data[each] for each in Unavailable.shown})
        raise AssertionError("an answer ends with `done` or `error`")

    async def stream(self, question: Question, dialogue: Dialogue) -> AsyncGenerator[Event]:
        """The events of one answer. Raises NotFound before the first of them, and never a GroundworkError after it."""
        return self._told(question, await self._thread(dialogue))

    async def _told(self, question: Question, thread: Thread) -> AsyncGenerator[Event]:
        said: list[str] = []
        try:
            async with aclosing(self._events(question, thread)) as events:
                async for event in events:
                    said += [event.data["text"]] if event.name == "delta" else []
                    yield event
        except GroundworkError as error:
            yield Event("error", {"kind": error.kind, "message": error.message, "answer": "".join(said), "route": []})

    async def _thread(self, dialogue: Dialogue) -> Thread:
        return await self.dialogues.open(dialogue)

    async def _events(self, question: Question, thread: Thread) -> AsyncGenerator[Event]:
        """`done` or `error` is the last; the conversation has kept what was said when that comes."""
        shared = self._can_be_shared(thread)
        if shared:
            question = await settled(question)
        seen: frozenset[UUID] = frozenset()
        async with aclosing(self._shared(question, thread) if shared else self._write(question, thread)) as events:
            async for event in events:
                seen |= event.collections
                if event.name in {"done", "error"}:
                    session_id = await self.dialogues.keep(thread, question.text, event.data, seen)
                    yield Event(event.name, {**event.data, "session_id": session_id})
                    return
                yield event

    async def _shared(self, question: Question, thread: Thread) -> AsyncGenerator[Event]:
        """The same, from the cache or together with whoever asks the same. What only this one cannot pay is theirs alone."""
        told = 0
        try:
            write = partial(self._write, question, thread, alone=False)
            async with aclosing(self.memory.events(await self._key(question, thread), write)) as events:
                async for event in events:
                    told += 1
                    yield event
        except OverBudget:
            if not self.policy.extract_over_budget:
                raise
        else:
            return
        async with aclosing(self._write(question, thread)) as events:
            async for event in events:
                if told:
                    told -= 1
                else:
                    yield event

    def _can_be_shared(self, thread: Thread) -> bool:
        """Whether the answer depends on the documents alone, and is worth keeping: a model writes it."""
        private = self.policy.private or thread.private
        return not thread.history and not thread.instructions and thread.generate and self.generator.can(private)

    async def _key(self, question: Question, thread: Thread) -> str:
        """What the answer is remembered by."""
        private = self.policy.private or thread.private
        filters = await question.scope()
        return key_of(
            question.text,
            filters,
            await records.generations(self.database, filters.collections),
            private=private,
            models=self.generator.names(private),
            space=self.space().id,
            mode=question.mode,
            limit=question.limit,
            rerank=question.rerank,
            retrieval=self.policy.retrieval,
        )

    async def _write(self, question: Question, thread: Thread, alone: bool = True) -> AsyncGenerator[Event]:
        """`alone`: nobody else is told these events, so they may rest on what this one can pay."""
        private = self.policy.private or thread.private
        if not private and thread.history and thread.session is None:
            question = await settled(question)
            private = await self._may_tell(question)
        answer = Answer("", "generated")
        if private and self.searcher.reranker and not self.searcher.reranker.private:
            question = replace(question, rerank=False)
        if thread.history and thread.generate and self.generator.can(private):
            began = time.perf_counter()
            question = replace(question, text=await self._alone(question.text, thread, answer, private))
            answer.timings_ms["rewrite"] = _ms(began)
        found = await self.searcher.search(question)
        answer.timings_ms |= found.timings_ms
        bodies = [passage.body() for passage in found.passages]
        yield Event("passages", {"passages": bodies}, frozenset(each.chunk.collection_id for each in found.passages))
        private = private or any(each.chunk.private for each in found.passages)
        if not found.passages:
            yield Event("delta", {"text": NOTHING_FOUND})
            answer.text, answer.mode = NOTHING_FOUND, "none"
            yield Event("done", answer.body())
            return
        async with aclosing(self._answered(question, thread, found, answer, private, alone)) as events:
            async for event in events:
                yield event

    async def _may_tell(self, question: Question) -> bool:
        """Whether a conversation that the caller keeps may tell of a private collection: nobody knows what it was made from."""
        return await records.any_private(self.database, (await question.scope()).collections)

    async def _alone(self, text: str, thread: Thread, answer: Answer, private: bool) -> str:
        """The question as it can be understood without the conversation."""
        task = Task(
            lambda model, count: prompt.rewriting(model, count, text, thread.history),
            thread.account,
            "rewrite",
            private,
        )
        pieces: list[str] = []
        try:
            async with asyncio.timeout(_REWRITE_SECONDS):
                async with aclosing(self.generator.stream(task, answer.spent)) as written:
                    pieces = [piece async for piece in written]
        except (NoModel, OverBudget, ModelFailed, TimeoutError):
            pieces = []
        alone = " ".join("".join(pieces).split())
        if 0 < len(alone) <= _LONGEST_REWRITTEN:
            return alone
        return f"{thread.history[-1].question} {text}"[-MAX_QUERY_CHARACTERS:]

    async def _answered(
        self, question: Question, thread: Thread, found: Found, answer: Answer, private: bool, alone: bool
    ) -> AsyncGenerator[Event]:
        """By a model when there is one that answers, else by the passages' own sentences."""
        try:
            if not thread.generate:
                raise NoModel
            async with aclosing(self._generated(question, thread, found, answer, private)) as events:
                async for event in events:
                    yield event
            return
        except NoModel as reason:
            answer.reason = str(reason) if thread.generate and self.generator.can(False) else None
        except OverBudget as refusal:
            if not (alone and self.policy.extract_over_budget):
                raise
            answer.reason = refusal.message
        await self._extract(question, found, answer)
        for event in tell(answer.body()):
            yield event
        yield Event("done", answer.body())

    async def _generated(
        self, question: Question, thread: Thread, found: Found, answer: Answer, private: bool
    ) -> AsyncGenerator[Event]:
        """Raises NoModel, OverBudget; what breaks off after its first word ends in an `error` that keeps what was said."""
        writer = Writer(self.database, self.space().embedder, found.passages, answer)
        task = Task(
            lambda model, count: prompt.answering(
                model, count, question.text, found.passages, thread.history, thread.instructions, writer.give
            ),
            thread.account,
            "answer",
            private,
        )
        try:
            async with aclosing(writer.events(self.generator, task)) as events:
                async for event in events:
                    yield event
        except ModelFailed as failed:
            message = f"The answer broke off: {blame(answer.spent.provider, failed.message)}. Ask again."
            yield Event("error", {**answer.body(), "kind": "unavailable", "message": message})
            return
        if answer.mode == "none":
            answer.text = NOTHING_FOUND
            yield Event("delta", {"text": NOTHING_FOUND})
        yield Event("done", answer.body())

    async def _extract(self, question: Question, found: Found, answer: Answer) -> None:
        began = time.perf_counter()
        embedder = self.space().embedder
        most, least = self.policy.answer.sentences, self.policy.answer.least_bearing
        extraction = await asyncio.to_thread(extract, question.text, found.passages, embedder, most)
        if not extraction.quotes or extraction.bearing < least:
            answer.text, answer.mode = NOTHING_FOUND, "none"
        else:
            statements = await verify(self.database, compose(extraction.quotes))
            answer.text = "".join(statement.text for statement in statements)
            answer.mode, answer.citations = "extracted", [statement.citation for statement in statements]
        answer.timings_ms["generate"] = _ms(began)


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)

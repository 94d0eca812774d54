"""What an answer is, whole and as it is told: the same for a stream, a page and a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from groundwork.answer.cite import Citation
from groundwork.answer.generate import Spent

Mode = Literal["generated", "extracted", "verified", "none"]
EventName = Literal["passages", "delta", "citation", "progress", "done", "error"]

NOTHING_FOUND = "The documents do not say anything that bears on this question."
STAGES = ("embed", "dense", "lexical", "fuse", "hydrate", "rerank", "generate")
"""What `timings_ms` always holds, in milliseconds. Besides, where a model wrote: `first_token`, which is the part of `generate`
until the first words, and `rewrite` for the question that follows another."""


@dataclass(frozen=True)
class Event:
    """One event of an answer. `data` is what goes over the wire."""

    name: EventName
    data: dict[str, Any]
    collections: frozenset[UUID] = frozenset()
    """Whose passages it tells of; stays inside."""


@dataclass
class Answer:
    """An answer with its citations, and how it came about."""

    text: str
    mode: Mode
    citations: list[Citation] = field(default_factory=list[Citation])
    timings_ms: dict[str, float] = field(default_factory=dict[str, float])
    spent: Spent = field(default_factory=Spent)
    reason: str | None = None
    """Why no model wrote it, although one is set."""
    unresolved: int = 0
    """Marks in the text that named no passage."""

    def body(self, session_id: str | None = None) -> dict[str, Any]:
        """As every face shows it."""
        return {
            "answer": self.text,
            "mode": self.mode,
            "reason": self.reason,
            "session_id": session_id,
            "citations": [citation.body() for citation in self.citations],
            "unresolved_citations": self.unresolved,
            "cached": False,
            "usage": self.spent.usage(),
            "route": self.spent.route(),
            "timings_ms": dict.fromkeys(STAGES, 0.0) | self.timings_ms,
        }


def tell(body: dict[str, Any]) -> Iterator[Event]:
    """An answer that is already whole, as a stream would tell it; all but the last event."""
    text, at = body["answer"], 0
    citations: Sequence[dict[str, Any]] = body["citations"]
    for citation in citations:
        end = text.find("]", citation["answer_span"]["end"]) + 1
        if end > at:
            yield Event("delta", {"text": text[at:end]})
            at = end
        yield Event("citation", citation)
    if text[at:]:
        yield Event("delta", {"text": text[at:]})

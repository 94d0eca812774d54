"""Citations: which words of an answer rest on which span of which version, compared with the stored text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from groundwork.answer.extract import Quote, as_prose
from groundwork.retrieve import records
from groundwork.retrieve.search import version_name
from groundwork.store.database import Database


@dataclass(frozen=True)
class Citation:
    """One statement of an answer and the words it rests on."""

    index: int
    answer_start: int
    answer_end: int
    quote: Quote
    verified: bool
    """The quote was compared with the stored span and is equal, byte for byte."""

    @property
    def span(self) -> tuple[int, int]:
        """The statement, in characters of the answer."""
        return self.answer_start, self.answer_end

    def body(self) -> dict[str, Any]:
        """As every face shows it."""
        chunk = self.quote.passage.chunk
        return {
            "index": self.index,
            "answer_span": {"start": self.answer_start, "end": self.answer_end},
            "document_id": str(chunk.document_id),
            "version": version_name(chunk.version),
            "title": chunk.title,
            "uri": chunk.uri,
            "collection": chunk.collection,
            "chunk_id": str(chunk.chunk_id),
            "page": chunk.page,
            "source_span": {"start": self.quote.start, "end": self.quote.end},
            "quote": self.quote.text,
            "score": round(self.quote.score, 4),
            "verified": self.verified,
        }


@dataclass(frozen=True)
class Statement:
    """A piece of an answer with its citation, as it is streamed."""

    text: str
    citation: Citation


def compose(quotes: Sequence[Quote]) -> list[Statement]:
    """An answer that quotes: each sentence, then its mark. Not verified yet."""
    statements: list[Statement] = []
    at = 0
    for index, quote in enumerate(quotes, start=1):
        words = as_prose(quote.text)
        text = f"{words} [{index}]" + ("" if index == len(quotes) else " ")
        statements.append(Statement(text, Citation(index, at, at + len(words), quote, verified=False)))
        at += len(text)
    return statements


async def verify(database: Database, statements: Sequence[Statement]) -> list[Statement]:
    """The same statements, each citation compared with the text stored at its span."""
    checked = await _checked(database, [each.citation for each in statements])
    return [replace(each, citation=citation) for each, citation in zip(statements, checked, strict=True)]


async def check(database: Database, citation: Citation) -> Citation:
    """The same citation, compared with the text stored at its span."""
    return (await _checked(database, [citation]))[0]


async def _checked(database: Database, citations: Sequence[Citation]) -> list[Citation]:
    spans = [
        (chunk.document_id, chunk.version, each.quote.start, each.quote.end)
        for each in citations
        for chunk in (each.quote.passage.chunk,)
    ]
    stored = await records.quotes(database, spans)
    return [
        replace(each, verified=text is not None and text == each.quote.text)
        for each, text in zip(citations, stored, strict=True)
    ]

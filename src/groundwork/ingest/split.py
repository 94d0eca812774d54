"""A stored text to the chunks that are embedded, indexed and cited: `text[chunk.start:chunk.end]` is the chunk.

Chunks end where meaning does: at headings, paragraphs and sentences, as semantic-text-splitter finds them. A document
with pages is split page by page, so that a citation names one page; only a sentence that runs over a page's end takes
its chunk along.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from groundwork.ingest.code import Code
from groundwork.ingest.count import TokenCounter
from groundwork.ingest.headings import Outline

_SENTENCE_ENDED = re.compile(r"[.!?:;。！？…]['\"”’»)\]]*\s*$")
_SENTENCE_END = re.compile(r"[.!?。！？…]['\"”’»)\]]*(?=\s)|[。！？]|\n\s*\n")
_LONGEST_OVERHANG = 600
"""Characters of the next page within which a sentence must end to be kept whole; more is no sentence."""
_LONGEST_SEGMENT = 50_000
"""Characters split at once: what a splitter does to a text without line ends grows with the square of its length."""
_CRUMB = 1 / 8
"""Share of a chunk's tokens below which a piece is too little to answer anything."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Chunk:
    """A passage: where it stands in its document, and its words."""

    ordinal: int
    start: int
    """Offset of the first character in the document's text."""
    end: int
    """Offset after the last character."""
    page: int | None
    """The page, from 1, on which the chunk's first character stands; None where there are no pages."""
    heading_path: tuple[str, ...]
    """The headings the chunk stands under, outermost first."""
    text: str


class Splitter:
    """Splits texts into chunks of at most `chunk_tokens` tokens of the embedder's tokenizer. Thread-safe."""

    def __init__(self, tokenizer_file: Path, chunk_tokens: int) -> None:
        self._limit = chunk_tokens
        self._tokens = TokenCounter(tokenizer_file, chunk_tokens)
        self._plain = TextSplitter.from_callback(self._tokens.count, chunk_tokens)
        self._markdown = MarkdownSplitter.from_callback(self._tokens.count, chunk_tokens)

    def split(self, text: str, markdown: bool, pages: Sequence[int], code: bool = False) -> list[Chunk]:
        """The chunks of `text`, in order, without overlap; every word is in one of them.

        `pages` holds the offset at which each page starts, ascending; empty where there are none. Source `code` is
        split where its definitions end, and their names are the headings.
        """
        self._tokens.learn(text)
        if code:
            return self._split_code(text)
        outline = Outline(text) if markdown else None
        spans: list[Span] = []
        for start, end in _segments(text, pages):
            spans += self._split_segment(text, start, end, outline)
        return [
            Chunk(number, start, end, _page(pages, start), _path(outline, text, start, end), text[start:end])
            for number, (start, end) in enumerate(spans)
        ]

    def _split_code(self, text: str) -> list[Chunk]:
        code = Code(text)
        spans: list[Span] = []
        for start, end in code.spans(self._tokens.count, self._limit):
            if self._tokens.count(text[start:end]) > self._limit:
                spans += self._split_segment(text, start, end, None)
            else:
                spans += _without_blank_lines(text, start, end)
        return [
            Chunk(number, start, end, None, code.path(start, end), text[start:end])
            for number, (start, end) in enumerate(spans)
        ]

    def _split_segment(self, text: str, start: int, end: int, outline: Outline | None) -> list[Span]:
        segment = text[start:end]
        if self._tokens.count(segment) <= self._limit:
            return _stripped(text, start, end)
        splitter = self._plain if outline is None else self._markdown
        spans = [
            span
            for at, words in splitter.chunk_indices(segment)
            for span in _stripped(text, start + at, start + at + len(words))
        ]
        if outline is not None:
            spans = [part for span in spans for part in self._without_tail(text, *span, outline)]
        return list(self._without_crumbs(text, spans, outline))

    def _without_tail(self, text: str, start: int, end: int, outline: Outline) -> list[Span]:
        """The span, the rest of a section parted from a whole section that follows it and has another heading."""
        heading = outline.next_heading(start, end)
        if heading is None or outline.is_heading(start):
            return [(start, end)]
        if self._tokens.count(text[start:heading]) < self._limit * _CRUMB:
            return [(start, end)]
        return [*_stripped(text, start, heading), *_stripped(text, heading, end)]

    def _without_crumbs(self, text: str, spans: Sequence[Span], outline: Outline | None) -> Iterator[Span]:
        """`spans`, a heading that stands alone, or a few words that do, put before the text they announce."""
        lead: int | None = None
        for number, (own, end) in enumerate(spans):
            start = own if lead is None else lead
            tokens = self._tokens.count(text[start:end])
            following = spans[number + 1][0] if number + 1 < len(spans) else None
            if following is not None and tokens <= self._limit and self._leads(text, start, end, following, outline):
                lead = start
                continue
            yield from [(start, end)] if tokens <= self._limit or lead is None else self._anew(text, start, own, end)
            lead = None

    def _leads(self, text: str, start: int, end: int, following: int, outline: Outline | None) -> bool:
        if outline is not None and outline.after_headings(text, start, end) is None:
            return True
        is_crumb = self._tokens.count(text[start:end]) < self._limit * _CRUMB
        return is_crumb and (outline is None or not outline.is_heading(following))

    def _anew(self, text: str, start: int, own: int, end: int) -> Iterator[Span]:
        """The span from `start` to `end`, split with no end of paragraph before `own`."""
        words = text[start:own].replace("\n", " ") + text[own:end]
        for at, part in self._plain.chunk_indices(words):
            yield from _stripped(text, start + at, start + at + len(part))


def _segments(text: str, pages: Sequence[int]) -> Iterator[Span]:
    """The parts of `text` to split each by itself: pages, each with the end of the sentence it breaks off."""
    # A sentence may run over a page that holds nothing else; its end is then past the next cut.
    cuts = accumulate([0, *(_cut(text, page) for page in pages if 0 < page < len(text)), len(text)], max)
    for start, end in pairwise(cuts):
        while end - start > _LONGEST_SEGMENT:
            middle = _line_end(text, start, start + _LONGEST_SEGMENT)
            yield start, middle
            start = middle
        if start < end:
            yield start, end


def _line_end(text: str, start: int, end: int) -> int:
    """The last place in the second half of a span where a paragraph, a line or a word ends; its end without one."""
    half = (start + end) // 2
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, half, end)
        if at >= 0:
            return at + len(mark)
    return end


def _cut(text: str, page: int) -> int:
    """Where to cut between a page and the one that starts at `page`: there, or after the sentence that runs over."""
    before = text[max(0, page - 100) : page].rstrip()
    after = text[page : page + _LONGEST_OVERHANG]
    if not before or _SENTENCE_ENDED.search(before) or not after[:1].islower():
        return page
    end = _SENTENCE_END.search(after)
    return page + end.end() if end else page


def _stripped(text: str, start: int, end: int) -> list[Span]:
    """The span without the spaces around it; none when nothing is left."""
    words = text[start:end]
    left = start + len(words) - len(words.lstrip())
    right = end - len(words) + len(words.rstrip())
    return [(left, right)] if left < right else []


def _without_blank_lines(text: str, start: int, end: int) -> list[Span]:
    """The span without the blank lines around it, its first line with its indentation."""
    return [(text.rfind("\n", start, left) + 1 or start, right) for left, right in _stripped(text, start, end)]


def _page(pages: Sequence[int], position: int) -> int | None:
    return max(bisect_right(pages, position), 1) if pages else None


def _path(outline: Outline | None, text: str, start: int, end: int) -> tuple[str, ...]:
    if outline is None:
        return ()
    body = outline.after_headings(text, start, end)
    return outline.path(end - 1 if body is None else body)

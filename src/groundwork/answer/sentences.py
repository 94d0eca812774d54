"""Sentences of a text with their places, good enough to quote: prose, lists, tables and scripts without spaces."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_END = re.compile(
    r"""
      [.!?؟۔]+ ["'”’»)\]]* (?=\s)   # an ending mark, closing quotes, then space
    | [。！？｡]+ ["'”’»」』）]*     # marks that need no space after them
    | \n\s*\n                       # a blank line
    | (?<=\n)[ ]{0,3}\#{1,6}[ ][^\n]*\n | \A[ ]{0,3}\#{1,6}[ ][^\n]*\n   # a heading's own line
    | \n (?=\s*(?:[-*+•|\#>]|\d+[.)])\s?)  # a line that begins a list item, a table row, a heading
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Za-z]|Dr|Mr|Mrs|Ms|Prof|St|Sr|Jr|vs|etc|Inc|Ltd|Co|Corp|No|Nr|Fig|Eq|Vol|pp|approx|ca|al|"
    r"e\.g|i\.e|z\.B|d\.h|bzw|usw|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|Gen|Col|Capt|Lt|Rev|Hon|Mt|U\.S|U\.K)"
    r"|\b\d{1,3})\.$"
)
_WORDS = re.compile(r"\w")
_LONGEST = 500
"""Characters; what goes on longer is no sentence, or its end is not marked as in prose."""
_BARE_END = re.compile(r"[.!?؟]\s|\n")
"""The end of a sentence where nothing, such as a capital after it, tells it from an abbreviation."""
_WEAKER_ENDS = [re.compile(pattern) for pattern in (r"[;:；：]\s?", r"[,،，、]\s?", r"\s")]
"""Where to cut what is still too long, the best first."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and where it stands, in characters of the text it was found in."""

    start: int
    end: int
    text: str


def sentences(text: str) -> list[Sentence]:
    """The sentences of `text` in order, without the white space around them; none without a word in it."""
    found: list[Sentence] = []
    for start, end in (part for span in _spans(text) for part in _short(text, *span)):
        piece = text[start:end]
        left = len(piece) - len(piece.lstrip())
        stripped = piece.strip()
        if _WORDS.search(stripped):
            found.append(Sentence(start + left, start + left + len(stripped), stripped))
    return found


def _spans(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for match in _END.finditer(text):
        before = text[begin : match.start() + 1]
        if match.group().startswith(".") and _goes_on(before, text[match.end() :].lstrip()[:1]):
            continue
        yield begin, match.end()
        begin = match.end()
    yield begin, len(text)


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The span, or its parts when it is too long to quote."""
    if end - start <= _LONGEST:
        yield start, end
        return
    for match in _BARE_END.finditer(text, start, end):
        yield from _pieces(text, start, match.end())
        start = match.end()
    yield from _pieces(text, start, end)


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _LONGEST:
        cut = _cut(text, start + _LONGEST // 8, start + _LONGEST)
        yield start, cut
        start = cut
    yield start, end


def _cut(text: str, start: int, end: int) -> int:
    """The last place to cut between two offsets; the second where there is none."""
    for mark in _WEAKER_ENDS:
        ends = [match.end() for match in mark.finditer(text, start, end)]
        if ends:
            return ends[-1]
    return end


def _goes_on(before: str, following: str) -> bool:
    """Whether a full stop ends an abbreviation or an ordinal rather than a sentence."""
    return following.islower() or _ABBREVIATION.search(before) is not None

"""Answers without a language model: the sentences of the best passages that bear most on the question, as they stand."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groundwork.answer.bearing import content_words, coverage, weighed_coverage
from groundwork.answer.sentences import Sentence, sentences
from groundwork.embedders import Embedder
from groundwork.retrieve.search import Passage

_PASSAGES = 5
_COMPARED = 12
"""Sentences whose vectors are compared with the question's: most of an answer's time, in proportion."""
_LETTERS_PER_TOKEN = 1.5
"""Below it a model knows single letters only; English has four to a token, a related language two or more."""
_WORDS = re.compile(r"\w+")
_HEADING = re.compile(r"^\s*#{1,6}\s")
_MARKS = re.compile(r"^\s*(?:[-*+•>]|\d+[.)])\s+|\*{1,3}|`+|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)")


@dataclass(frozen=True)
class Quote:
    """Words of one passage that bear on the question. Offsets count characters of the version's text."""

    passage: Passage
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True)
class Extraction:
    """What was found in the passages."""

    quotes: list[Quote]
    bearing: float
    """How far the best of it bears on the question, 0 to 1."""


@dataclass(frozen=True)
class _Candidate:
    passage: Passage
    sentence: Sentence
    score: float
    cosine: float


def extract(question: str, passages: Sequence[Passage], embedder: Embedder, most: int) -> Extraction:
    """Up to `most` quotes. Blocks.

    The best comes first, then what else that passage says in reading order, then other passages'. A sentence is scored
    by the cosine of its vector with the question's, by the words it shares with the question, each weighed by how few
    of the sentences have it, and by the passage it stands in.
    """
    passages = passages[:_PASSAGES]
    candidates = _candidates(question, passages, embedder)
    if not candidates:
        return Extraction([], 0.0)
    ranked = sorted(candidates, key=lambda each: -each.score)
    chosen = _chosen([each for each in ranked if each.score >= _FLOOR * ranked[0].score], most)
    closest = max(each.cosine for each in candidates)
    bearing = _bearing(question, passages, closest, understands(embedder, question))
    return Extraction([_quote(each) for each in _reading_order(chosen)], bearing)


_FLOOR = 0.6
"""A further sentence is quoted when it scores at least this share of the best."""
_COSINE_SHARE, _WORDS_SHARE, _PASSAGE_SHARE = 0.2, 0.4, 0.4
_JOINED = 0.8
"""A neighbour that scores at least this share of a quoted sentence is quoted in one breath with it."""
_LONGEST_JOINED = 350
"""Characters of two sentences quoted as one."""


def _candidates(question: str, passages: Sequence[Passage], embedder: Embedder) -> list[_Candidate]:
    found = _promising(question, [(passage, sentence) for passage in passages for sentence in quotable(passage)])
    if not found:
        return []
    vectors = embedder.embed_passages([sentence.text for _, sentence, _ in found])
    cosines: list[float] = np.clip(vectors @ embedder.embed_query(question), 0.0, 1.0).tolist()
    return [
        _Candidate(passage, sentence, score + _COSINE_SHARE * cosine, cosine)
        for (passage, sentence, score), cosine in zip(found, cosines, strict=True)
    ]


def _promising(question: str, found: Sequence[tuple[Passage, Sentence]]) -> list[tuple[Passage, Sentence, float]]:
    """The sentences worth the time of the embedder, with what they score before it."""
    shares = weighed_coverage(content_words(question), [content_words(sentence.text) for _, sentence in found])
    scored = [
        (passage, sentence, _WORDS_SHARE * share + _PASSAGE_SHARE * passage.score)
        for (passage, sentence), share in zip(found, shares, strict=True)
    ]
    return sorted(scored, key=lambda each: -each[2])[:_COMPARED]


def _bearing(question: str, passages: Sequence[Passage], closest: float, understood: bool) -> float:
    """How far the passages bear on the question, 0 to 1: by closeness of meaning and by shared words.

    By words alone where the embedder does not know the script: there all texts are close to one another. The root
    brings that to about the same scale.
    """
    words = content_words(question)
    shared = max(coverage(words, content_words(f"{each.chunk.title}\n{each.chunk.text}")) for each in passages)
    if not understood:
        return math.sqrt(shared)
    return 0.6 * max(closest, *(each.dense or 0.0 for each in passages)) + 0.4 * shared


def understands(embedder: Embedder, question: str) -> bool:
    """Whether the embedder has pieces of words for this script, and does not spell it out letter by letter."""
    words = _WORDS.findall(question)
    return sum(map(len, words)) >= _LETTERS_PER_TOKEN * embedder.count_tokens(" ".join(words))


def quotable(passage: Passage) -> list[Sentence]:
    """Sentences of a passage that can be quoted, offsets counting from its start; headings say nothing alone."""
    return [each for each in sentences(passage.chunk.text) if not _HEADING.match(each.text)]


def _chosen(ranked: Sequence[_Candidate], most: int) -> list[_Candidate]:
    """The first `most` that do not repeat one another, each with a neighbour that bears as much on the question."""
    chosen: list[_Candidate] = []
    for each in ranked:
        if len(chosen) == most:
            break
        if not any(_repeats(each, other) for other in chosen):
            chosen.append(_with_neighbour(each, ranked, chosen))
    return chosen


def _repeats(each: _Candidate, other: _Candidate) -> bool:
    """Whether all but a few of its words have been quoted already, there or elsewhere."""
    return coverage(content_words(each.sentence.text), content_words(other.sentence.text)) >= 0.9


def _with_neighbour(each: _Candidate, ranked: Sequence[_Candidate], chosen: Sequence[_Candidate]) -> _Candidate:
    """The candidate, or it and the sentence beside it as one when that scores nearly as high."""
    for other in ranked:
        joined = _joined(each, other)
        if other.score >= _JOINED * each.score and joined and not any(_overlap(joined, one) for one in chosen):
            return joined
    return each


def _joined(each: _Candidate, other: _Candidate) -> _Candidate | None:
    """Both as one when they stand side by side in one paragraph and are short enough together."""
    if each.passage is not other.passage or each is other:
        return None
    first, second = sorted((each.sentence, other.sentence), key=lambda sentence: sentence.start)
    between = each.passage.chunk.text[first.end : second.start]
    if between.strip() or "\n" in between or second.end - first.start > _LONGEST_JOINED:
        return None
    text = each.passage.chunk.text[first.start : second.end]
    return _Candidate(each.passage, Sentence(first.start, second.end, text), each.score, each.cosine)


def _overlap(one: _Candidate, other: _Candidate) -> bool:
    return (
        one.passage is other.passage
        and one.sentence.start < other.sentence.end
        and other.sentence.start < one.sentence.end
    )


def _reading_order(chosen: Sequence[_Candidate]) -> list[_Candidate]:
    """The best, then passages in the order of their best sentence, the sentences of one as they stand there."""
    first: dict[object, int] = {}
    for place, each in enumerate(chosen):
        first.setdefault(each.passage.chunk.chunk_id, place)
    rest = sorted(chosen[1:], key=lambda each: (first[each.passage.chunk.chunk_id], each.sentence.start))
    return [*chosen[:1], *rest]


def _quote(each: _Candidate) -> Quote:
    begin = each.passage.chunk.start
    return Quote(each.passage, begin + each.sentence.start, begin + each.sentence.end, each.sentence.text, each.score)


def as_prose(text: str) -> str:
    """A quoted sentence as it reads in an answer: without list marks, emphasis and line breaks."""
    return " ".join(_MARKS.sub("", text).split())

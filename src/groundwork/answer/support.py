"""Which sentence of a passage bears out a statement: the narrowest words a citation can point at."""

import numpy as np

from groundwork.answer.bearing import content_words, weighed_coverage
from groundwork.answer.extract import Quote, quotable
from groundwork.answer.sentences import Sentence
from groundwork.embedders import Embedder
from groundwork.retrieve.search import Passage

_TOLD_BY_WORDS = 0.34
"""From this share of the statement's words on, a sentence is taken for its words alone."""
_COMPARED = 12


def supporting(statement: str, passage: Passage, embedder: Embedder) -> Quote:
    """The sentence that shares most with the statement, by words, or by meaning where words tell little. Blocks.

    By words alone where a server would have to be asked for the meaning. The whole passage when it has no sentences, as
    tables and code. The score says how much the two share, 0 to 1.
    """
    found = quotable(passage)
    if not found:
        chunk = passage.chunk
        return Quote(passage, chunk.start, chunk.end, chunk.text, 0.0)
    shares = weighed_coverage(content_words(statement), [content_words(each.text) for each in found])
    best = max(range(len(found)), key=lambda place: shares[place])
    if shares[best] >= _TOLD_BY_WORDS or len(found) == 1 or not embedder.in_process:
        return _quote(passage, found[best], shares[best])
    near = sorted(range(len(found)), key=lambda place: -shares[place])[:_COMPARED]
    vectors = embedder.embed_passages([found[place].text for place in near])
    cosines = np.clip(vectors @ embedder.embed_query(statement), 0.0, 1.0)
    at = int(np.argmax(cosines))
    return _quote(passage, found[near[at]], float(cosines[at]))


def _quote(passage: Passage, sentence: Sentence, score: float) -> Quote:
    begin = passage.chunk.start
    return Quote(passage, begin + sentence.start, begin + sentence.end, sentence.text, score)

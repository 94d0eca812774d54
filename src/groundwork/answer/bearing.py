"""How far words bear on a question: shared content words, without a dictionary and for any script."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"[぀-ヿ㐀-鿿豈-﫿฀-๿]")
_EMPTY = frozenset(
    (
        "a about after all also am an and any are as at be because been before being between both but by can could did "
        "do does doing during each for from further had has have having he her here hers him his how i if in into is it "
        "its itself just many me more most much my no nor not now of off on once only or other our out over own per "
        "same she should so some such than that the their them then there these they this those through to too under "
        "until up upon us very was we were what when where which while who whom whose why will with would you your "
        "der die das ein eine einer eines einem einen und oder ist sind war waren wird werden wurde wurden in im am an "
        "auf aus bei mit nach von vom zu zum zur für über unter wie was wer wo wann warum welche welcher welches wessen "
        "nicht auch es er sie wir ihr als dass dem den des sich "
        "في من على إلى عن ما ماذا متى أين كيف هل كم هو هي التي الذي هذا هذه أن"
    ).split()
)


@lru_cache(maxsize=4096)
def content_words(text: str) -> frozenset[str]:
    """The words that carry meaning, folded and cut to a common stem; character pairs where a script has no spaces."""
    words: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        if _UNSPACED.search(word):
            words.update(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif word not in _EMPTY:
            words.add(_stem(word))
    return frozenset(words)


def coverage(question: frozenset[str], text: frozenset[str]) -> float:
    """The share of the question's words that stand in the text, 0 to 1."""
    return len(question & text) / len(question) if question else 0.0


def weighed_coverage(question: frozenset[str], texts: Sequence[frozenset[str]]) -> list[float]:
    """For each text the share of the question's words that stand in it, a word weighing more the fewer texts have it.

    The weight is BM25's inverse document frequency, over these texts alone. 0 to 1.
    """
    holding = Counter(word for text in texts for word in question & text)
    weights = {word: math.log(1 + (len(texts) - holding[word] + 0.5) / (holding[word] + 0.5)) for word in question}
    total = sum(weights.values())
    return [sum(weights[word] for word in question & text) / total if total else 0.0 for text in texts]


def _stem(word: str) -> str:
    """Crude on purpose: enough for singular to meet plural and verb to meet verb form."""
    folded = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    for ending in ("ingly", "edly", "ings", "ing", "ies", "ied", "es", "ed", "ly", "s", "e", "en", "er"):
        if folded.endswith(ending) and len(folded) - len(ending) >= 3:
            return folded[: -len(ending)]
    return folded

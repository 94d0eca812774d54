"""Texts and questions to the terms they are indexed and looked up by, each language in its own way.

Words are folded in width and case, cut to their stem where the language has a Snowball stemmer, and freed of accents.
Scripts that put no spaces between words are taken as single characters and pairs of neighbours. Beside the words stand
pairs: two content words in a row, because "lift coefficient" says more than its two words apart.

A text is analysed by its own language, a question by every language the index holds; so a language told wrongly costs
a little precision and hardly ever a match.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

DEFAULT = "en"
"""How a text of unknown language is read: it is most often a short English one."""
PLAIN = "plain"
"""Words as they are, for languages without a stemmer."""

_STEMMERS = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nb": "norwegian",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
_LISTED = frozenset(
    "danish dutch finnish french german hungarian italian norwegian portuguese russian spanish swedish english".split()
)
"""Languages whose function words tantivy knows."""
_MORE_STOPWORDS = {
    "en": "about am been being can could did do does doing from had has have how i its may me might must my should than "
    "we were what when where which who whom whose why would you your",
    "de": "warum wann wer wen wem wessen welchem wieviel",
    "ar": "في من على إلى الى عن ما ماذا متى أين اين كيف هل كم هو هي التي الذي الذين هذا هذه ذلك تلك أن ان إن كان كانت و أو او "
    "لا لم لن قد مع بين بعد قبل عند كل أي اي لماذا",
    "el": "ο η το οι τα του της των τον την και σε με για από που πως πώς τι ποιος ποια ποιο ποιοι πόσο πόσα πότε πού είναι "
    "ήταν στο στη στην στον στα να θα δεν ένα ένας μια",
    "ro": "a al ale au ce cine care când cum cât câte câți cu de din este era erau fost în la mai nu o pe pentru sau se sunt "
    "și un unde",
    "tr": "bir bu da de için ile kaç kim mi mı mu mü nasıl ne neden nerede nereye ne olan olarak ve veya zaman hangi",
}
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\U00020000-\U0003ffff]+"
)
_LONGEST = 64
_WORD = r"[\p{L}\p{N}\p{M}]+"


Variants = tuple[str, ...]
"""One word, or pair, of a question as each analysis has it; mostly they agree and there is one."""


@dataclass(frozen=True)
class Wanted:
    """What a question is looked up by: its distinct words and pairs, each with its variants."""

    words: list[Variants]
    pairs: list[Variants]


@dataclass(frozen=True)
class Terms:
    """What a text is found by. A pair is two stems with an underscore between them."""

    words: list[str]
    pairs: list[str]


def analysis_of(language: str | None) -> str:
    """Which analysis a text of that language (ISO 639-1, None when unknown) gets."""
    if language is None:
        return DEFAULT
    return language if language in _STEMMERS else PLAIN


def text_terms(text: str, analysis: str) -> Terms:
    """The terms of a text, in order and with repetition."""
    spaced, grams = _apart(text)
    content = _content_stems(analysis).analyze(spaced)
    return Terms(_stems(analysis).analyze(spaced) + grams, _pairs(content))


def question_terms(question: str, analyses: Iterable[str]) -> Wanted:
    """The distinct terms of a question under each analysis; function words only when there is nothing else."""
    spaced, grams = _apart(question)
    tokens = _tokens().analyze(spaced)
    known = sorted(analyses)
    content = _without_function_words(tokens, known)
    if not content and not grams:
        content = tokens
    stems = [_stems(analysis).analyze(" ".join(content)) for analysis in known]
    words = [*_variants(stems), *((gram,) for gram in grams)]
    return Wanted(list(dict.fromkeys(words)), list(dict.fromkeys(_variants([_pairs(each) for each in stems]))))


def _variants(analysed: Sequence[Sequence[str]]) -> list[Variants]:
    """Word by word what the analyses make of the same words; they differ in stems, never in number."""
    return [tuple(dict.fromkeys(variants)) for variants in zip(*analysed, strict=True)]


def _without_function_words(tokens: Sequence[str], analyses: Sequence[str]) -> list[str]:
    """The tokens without the function words of the language that claims most of them: "die" is one in German only."""
    functions = [frozenset(tokens).difference(_content(analysis).analyze(" ".join(tokens))) for analysis in analyses]
    most = max(map(len, functions), default=0)
    claimed = frozenset[str]().union(*(each for each in functions if len(each) == most))
    return [token for token in tokens if token not in claimed]


def _apart(text: str) -> tuple[str, list[str]]:
    """The text without its unspaced runs, and the characters and pairs of characters of those."""
    if text.isascii():
        return text, []
    folded = unicodedata.normalize("NFKC", text)
    grams = [run[i : i + n] for run in _UNSPACED.findall(folded) for n in (1, 2) for i in range(len(run) - n + 1)]
    return (_UNSPACED.sub(" ", folded), grams) if grams else (folded, grams)


def _pairs(words: Sequence[str]) -> list[str]:
    return [f"{first}_{second}" for first, second in pairwise(words)]


@cache
def _tokens() -> TextAnalyzer:
    return _begin().build()


@cache
def _content(analysis: str) -> TextAnalyzer:
    return _without_stopwords(analysis).build()


@cache
def _stems(analysis: str) -> TextAnalyzer:
    return _stemmed(_begin(), analysis)


@cache
def _content_stems(analysis: str) -> TextAnalyzer:
    return _stemmed(_without_stopwords(analysis), analysis)


def _begin() -> TextAnalyzerBuilder:
    return TextAnalyzerBuilder(Tokenizer.regex(_WORD)).filter(Filter.remove_long(_LONGEST)).filter(Filter.lowercase())


def _without_stopwords(analysis: str) -> TextAnalyzerBuilder:
    builder = _begin()
    name = _STEMMERS.get(analysis, PLAIN)
    if name in _LISTED:
        builder = builder.filter(Filter.stopword(name))
    if analysis in _MORE_STOPWORDS:
        builder = builder.filter(Filter.custom_stopword(_MORE_STOPWORDS[analysis].split()))
    return builder


def _stemmed(builder: TextAnalyzerBuilder, analysis: str) -> TextAnalyzer:
    if analysis in _STEMMERS:
        builder = builder.filter(Filter.stemmer(_STEMMERS[analysis]))
    return builder.filter(Filter.ascii_fold()).build()

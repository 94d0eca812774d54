"""How many tokens a piece of text takes, from the counts of its words.

A splitter measures the same words some three times over; tokenizers that part words at white space first, as BERT's
does, let each word be measured once.
"""

from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from pathlib import Path

from tokenizers import Tokenizer

_LONGEST_WORD = 40
"""Characters of the longest word worth remembering; scripts without spaces are measured anew."""
_LETTERS_PER_TOKEN = 8
_LONG = 40
"""Characters per token in a text that is surely longer than it should be."""
_MOST_WORDS = 200_000


class TokenCounter:
    """Counts tokens, without special ones, exactly up to `enough`. Thread-safe."""

    def __init__(self, tokenizer_file: Path, enough: int) -> None:
        self._enough = enough
        self._long = enough * _LONG
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        # As it is shipped it pads and truncates at 128 tokens, and then every long text seems to fit.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._counts: dict[str, int] = {}

    def learn(self, text: str) -> None:
        """Measures the words of `text` that are new, all at once, which costs a fraction of one at a time."""
        known = self._counts
        words = [word for word in set(text.split()) if word not in known and len(word) <= _LONGEST_WORD]
        if not words:
            return
        starts = [0, *accumulate(len(word) + 1 for word in words)]
        encoding = self._tokenizer.encode(" ".join(words), add_special_tokens=False)
        found = Counter(bisect_right(starts, start) - 1 for start, _ in encoding.offsets)
        if len(self._counts) > _MOST_WORDS:
            # A new one, not an emptied one: another thread may be counting.
            self._counts = {}
        self._counts.update((word, found[index]) for index, word in enumerate(words))

    def count(self, text: str) -> int:
        """The tokens of `text`; of one with more than `enough`, any number above that."""
        if len(text) > self._long:
            # Measuring all of a long text each time a splitter asks would take the square of its length.
            total = self._sum(text[: self._long].split()[:-1] or [text])
            if total > self._enough:
                return total
        return self._sum(text.split())

    def _sum(self, words: list[str]) -> int:
        known = self._counts
        total = 0
        for word in words:
            tokens = known.get(word)
            total += self._measure(word) if tokens is None else tokens
        return total

    def _measure(self, word: str) -> int:
        # WordPiece has one token, unknown, for whatever is too long to be a word, such as encoded data.
        fewest = len(word) // _LETTERS_PER_TOKEN if len(word) > _LONGEST_WORD else 0
        if fewest > self._enough:
            return fewest
        return max(fewest, len(self._tokenizer.encode(word, add_special_tokens=False).ids))
